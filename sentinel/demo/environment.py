"""Settings and a folder of the demo's own, so that it touches nothing that others use."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.settings import Settings, get_settings
from sentinel.cli.console import err

_IMAGENET_PATIENCE_SECONDS = 4.0
_SEEDED_WEIGHTS = "random:0"
_COOLDOWN_SECONDS = 15.0  # for batches that were dropped together: two slow cores judge them in that time
_RETRAIN_STEPS = 150  # the demo's noise is healed by then


@contextmanager
def own_environment(folder: Path, baseline: str, sample_fps: float | None) -> Iterator[Settings]:
    """Settings of the demo's own, in the environment, because the stack's processes read them there.

    Parameters
    ----------
    sample_fps : frames per second that are judged; None: all, or as whoever runs this has set it
    """
    config = folder / "sentinel.toml"
    config.touch()  # an empty one: whatever the working directory has is for other streams
    own = {
        "SENTINEL_STATE_DIR": str(folder / "state"),
        "SENTINEL_WATCH_DIR": str(folder / "incoming"),
        "SENTINEL_BASELINES_DIR": str(folder / "baselines"),
        "SENTINEL_BASELINE": baseline,
        "SENTINEL_FLOWER_PORT": "0",
        "SENTINEL_METRICS_PORT": "0",
        "SENTINEL_PAGE_PORT": "0",
        "SENTINEL_SETTLE_SECONDS": "1.0",
        "SENTINEL_COOLDOWN_SECONDS": str(_COOLDOWN_SECONDS),
        "SENTINEL_RETRAIN_STEPS": str(_RETRAIN_STEPS),
        "SENTINEL_CONFIG": str(config),
    }
    if sample_fps is not None:
        own["SENTINEL_SAMPLE_FPS"] = str(sample_fps)
    before = dict(os.environ)
    os.environ.pop("SENTINEL_REDIS_URL", None)  # the demo never touches a Redis that others use
    if "SENTINEL_WEIGHTS" not in os.environ:
        own["SENTINEL_WEIGHTS"] = _choose_weights()
    os.environ.update(own)
    get_settings.cache_clear()
    try:
        yield get_settings()
    finally:
        os.environ.clear()
        os.environ.update(before)
        get_settings.cache_clear()


def _choose_weights() -> str:
    from common.backbones import imagenet_available

    if imagenet_available(_IMAGENET_PATIENCE_SECONDS):
        err.print("weights: imagenet")
        return "imagenet"
    err.print(
        f"weights: {_SEEDED_WEIGHTS}, because ImageNet weights are unavailable here within a few seconds. "
        "The camera-quality sensors do not need them; the embedding group is weaker."
    )
    return _SEEDED_WEIGHTS


def fresh_folder(keep: Path | None) -> Path:
    """Return a new folder for what the demo makes: below `keep`, or a temporary one."""
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="sentinel-demo-"))
    keep = keep.resolve()
    keep.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=time.strftime("%Y%m%d-%H%M%S-"), dir=keep))
