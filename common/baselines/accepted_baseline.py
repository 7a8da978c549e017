"""Fitting a golden baseline to footage that a person accepted, and where it is kept."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.baselines.accepted_footage import AcceptedFootage
from common.baselines.golden import Golden
from common.baselines.learning.epoch import epoch_folder, learned_root, stream_folder
from common.baselines.owner import set_owner
from common.baselines.storage import StoredBaseline, save_baseline
from common.contracts.learning import FIRST_EPOCH
from common.drift.baseline import Baseline
from common.drift.fitting import fit_baseline
from common.errors import BadBaseline, BadMessage, BadSource, NotAccepted, StorageUnavailable
from common.features import FeatureBlock
from common.models.kinds import load_kind
from common.models.protocols import Examples
from common.object_root import Root
from common.sandbox import Sandbox
from common.settings import Settings
from common.sources.limits import Limits
from common.store import Store
from common.stream_config import model_of

log = logging.getLogger(__name__)

_MOST_EXAMPLES = 48  # per clip, as many as are kept of golden footage
_REPLAY_SECONDS = 300.0  # for reading the sources of one clip again
_SAFE_AGE_SECONDS = 86_400.0  # far longer than accepting takes


def folder_of(state_dir: Path, stream: str) -> Path:
    """Return the folder that holds the accepted baselines of `stream`, below SENTINEL_STATE_DIR."""
    return stream_folder(state_dir.resolve() / "golden", stream)


def fit_accepted(
    stream: str, footage: AcceptedFootage, golden: Golden, number: int, settings: Settings
) -> StoredBaseline:
    """Fit a baseline to `footage`, made as `golden` was, and save it in a new folder that belongs to `stream`.

    Parameters
    ----------
    number : of the record that will name it; the folder's name begins with it, and is unique per attempt

    Raises
    ------
    NotAccepted
        If the footage cannot be a baseline: it repeats one picture, or shows two scenes.
    BadBaseline
        If it cannot be written.
    """
    try:
        baseline = fit_baseline(
            footage.clips,
            name=golden.name,
            feature_spec=golden.feature_spec,
            rule=golden.rule,
            groups=golden.groups,
            created_at=time.time(),
            libraries=golden.libraries,
            clean_ratios=golden.clean_ratios,
        )
    except (BadBaseline, BadMessage) as error:
        raise NotAccepted(f"the footage of stream {stream!r} cannot be a baseline: {error}") from error
    folder = folder_of(settings.state_dir, stream) / f"{number}-{int(time.time() * 1000)}"
    try:
        replay = accepted_replay(stream, footage, golden, settings) if settings.keep_pictures == "on" else None
        stored = save_baseline(baseline, folder, replay)
        set_owner(stored.folder, stream)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return stored


def remove_unaccepted(store: Store, state_dir: Path) -> list[Path]:
    """Remove the folders that no record of their stream's history names: whoever accepted was killed; return them.

    Not touched are folders younger than a day, folders of streams that Redis does not know (it may be another one), and
    streams whose history cannot be read.
    """
    removed: list[Path] = []
    oldest_kept = time.time() - _SAFE_AGE_SECONDS
    for stream in store.streams.names():
        try:
            named = {Path(record.folder).name for record in store.golden.history(stream) if record.folder}
            named.add(epoch_folder(Path(), store.learning.stored(stream).id or "", FIRST_EPOCH).name)
        except BadMessage:
            continue
        for root in (folder_of(state_dir, stream), learned_root(state_dir, stream)):
            if not root.is_dir() or root.is_symlink():
                continue
            for folder in sorted(root.iterdir()):
                if folder.is_dir() and folder.name not in named and folder.stat().st_mtime < oldest_kept:
                    shutil.rmtree(folder, ignore_errors=True)
                    log.info("removed %s: it was never accepted", folder)
                    removed.append(folder)
    return removed


def accepted_replay(
    stream: str, footage: AcceptedFootage, golden: Baseline | Golden, settings: Settings
) -> Examples | None:
    """Return examples of the footage for the golden replay of the stream's model, as far as its sources can be read.

    There are none for a model that is trained on another modality.
    """
    model = model_of(settings, stream)
    if load_kind(model).modality != golden.feature_spec.modality:
        return None
    parts = []
    with Sandbox(_REPLAY_SECONDS, settings.max_memory_mb) as sandbox:
        for name, clip in footage.clips:
            try:
                limits = Limits.from_settings(settings)
                parts.append(sandbox.call(_examples, model, clip, limits, settings.roots, subject=name))
            except (BadSource, StorageUnavailable, OSError) as error:
                log.warning("%s: its frames cannot be kept for replay: %s", name, error)
    found = [part for part in parts if len(part)]
    return np.concatenate(found) if found else None


def _examples(model: str, clip: FeatureBlock, limits: Limits, roots: Sequence[Root]) -> Examples:
    return load_kind(model).read_stretch(clip, limits=limits, roots=roots, most=_MOST_EXAMPLES).examples
