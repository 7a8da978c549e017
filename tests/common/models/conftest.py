"""A camera, its golden baseline, and what may go wrong with it, recorded once for all tests of healing."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import numpy as np
import pytest

from common.baselines.binding import BaselineBinding
from common.extraction import Extractor
from common.features import FeatureBlock, Image
from common.modalities.video.encode import write_video
from common.modalities.video.modality import VIDEO
from common.models import kinds
from common.settings import Settings
from common.sources.limits import Limits
from common.store import Store
from sentinel.stack.redis_server import RedisServer
from simulation.saboteur import Fault, sabotage_frames
from simulation.virtual_camera import SCENES, film, load_photograph
from tests.common.models.site import (
    CLIP_SECONDS,
    FPS,
    GROWING_NOISE,
    WINDOW,
    Site,
    at_work,
    build_golden,
    features_of,
    make_triplets,
)
from tests.common.models.thrifty import SIZE, Thumbnails

HEIGHT, WIDTH = SIZE


@pytest.fixture(scope="session")
def camera(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FeatureBlock]:
    """Features of each clip, by its name; the clips are in one folder with the baseline `golden`."""
    folder = tmp_path_factory.mktemp("camera")
    photographs = [load_photograph(SCENES[0])]  # a camera that looks at one thing, so that it is seen when it turns

    def shots(seed: int, seconds: int = CLIP_SECONDS) -> list[Image]:
        return list(film(photographs, count=seconds * FPS, fps=FPS, seed=seed, width=WIDTH, height=HEIGHT))

    clean, other = shots(2), shots(3)
    noise = list(sabotage_frames(clean, Fault.NOISE, 3))
    noise_again = list(sabotage_frames(other, Fault.NOISE, 3, seed=1))
    black = list(sabotage_frames(clean, Fault.BLACK, 4))
    numbers = np.random.default_rng(0)
    clips = {
        "golden": shots(1, 30),
        "clean": clean,
        "noise": noise,
        "noise again": noise_again,
        "noise worse": list(sabotage_frames(other, Fault.NOISE, 5)),
        "black": black,
        "frozen": list(sabotage_frames(clean, Fault.FROZEN, 5)),
        "covered": list(sabotage_frames(clean, Fault.COVERED, 4)),
        "noise, then black": [*noise[: len(noise) // 2], *black[len(noise) // 2 :]],
        "random pixels": [numbers.integers(0, 256, clean[0].shape, np.uint8) for _ in clean],
        "random pixels amid noise": [
            *noise,
            *(numbers.integers(0, 256, clean[0].shape, np.uint8) for _ in range(2 * WINDOW)),
            *noise_again,
        ],
        "shuffled frames": [noise[number] for number in numbers.permutation(len(noise))],
    }
    for step, sigma in enumerate(GROWING_NOISE):
        grain = numbers.normal(0.0, sigma, (len(clean), *clean[0].shape))
        clips[f"noise, step {step}"] = list(np.clip(np.rint(np.stack(clean) + grain), 0, 255).astype(np.uint8))
    for name, images in clips.items():
        write_video(folder / f"{name}.mp4", images, FPS)
    extractor = Extractor(VIDEO, Thumbnails(), Limits())
    with pytest.MonkeyPatch.context() as monkeypatch:
        make_triplets(SIZE, monkeypatch)
        golden = build_golden(folder / "golden.mp4", folder / "baselines" / "golden", extractor)
    return {name: features_of(folder / f"{name}.mp4", extractor, golden) for name in clips if name != "golden"}


@pytest.fixture
def site(
    camera: dict[str, FeatureBlock],
    store: Store,
    settings: Settings,
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Site]:
    """Streams that show the camera's clips, judged by real reductions; their model learns in milliseconds."""
    make_triplets(SIZE, monkeypatch)
    folder = Path(camera["clean"].sources[0]).parent
    own = settings.model_copy(
        update={
            "baselines_dir": folder / "baselines",
            "baseline": "golden",
            "allowed_roots": (folder,),
            "redis_url": redis_server.url,
            "window_frames": WINDOW,
            # The gate has tests of its own; here little footage and a model with one blur for all must be enough.
            "promote_error": 0.5,
            "promote_max_worst_loss_db": 5.0,
        }
    )
    thrifty = EntryPoint("vfi", "tests.common.models.thrifty:KIND", kinds.GROUP)
    monkeypatch.setattr(kinds, "entry_points", lambda *, group: EntryPoints([thrifty]).select(group=group))
    with at_work(Site(store, own, BaselineBinding(own, store), camera), monkeypatch) as site:
        yield site
