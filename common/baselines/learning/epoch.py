"""The files of what a stream has learned: bursts, the baselines that were fitted to them, frame triplets.

    <state_dir>/learned/<stream>/<epoch>/bursts/<slot>.safetensors
                                         fits/<digest>/            the latest baselines, by their content
                                         pictures/<slot>.npz       frame triplets for healing
                                         status.json               `contracts.learning.LearningStatus`

An epoch begins with the stream, and whenever a person accepts another normal picture.
Every file is written whole and renamed, and one that is written again is the same.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from common.baselines.owner import set_owner
from common.baselines.storage import StoredBaseline, save_baseline
from common.contracts.feature_groups import FeatureGroup
from common.contracts.ids import content_id
from common.contracts.learning import FIRST_EPOCH, LearningStatus
from common.drift.baseline import Baseline
from common.drift.burst_arrays import bursts_from_bytes, bursts_to_bytes
from common.drift.bursts import Burst
from common.errors import BadBaseline, BadMessage
from common.whole_files import write_whole

FITS = "fits"
PICTURES = "pictures"
STATUS_FILE = "status.json"
_BURSTS = "bursts"
_SUFFIX = ".safetensors"
_KEPT_FITS = 3  # a process that has just read the name of an older one still finds it
_DIGITS = 16  # of a digest in the name of a folder
_DAY_SECONDS, _HOUR_SECONDS = 86_400.0, 3_600.0
_READABLE = 40  # characters of a stream's name that its folder shows


def stream_folder(root: Path, stream: str) -> Path:
    """Return the folder of `stream` below `root`: its name as far as it is readable, and a digest of it."""
    readable = re.sub(r"[^A-Za-z0-9-]+", "_", stream)[:_READABLE].strip("_-")
    return root / f"{readable or 'stream'}-{content_id(stream)[:16]}"


def learned_root(state_dir: Path, stream: str) -> Path:
    """Return the folder of all that `stream` has learned, below SENTINEL_STATE_DIR."""
    return stream_folder(state_dir.resolve() / "learned", stream)


def epoch_folder(root: Path, plan_id: str, epoch: str) -> Path:
    """Return the folder of an epoch below the stream's.

    That of the first one names the plan: what a forgotten stream left is no part of what it learns anew.
    """
    return root / (f"{FIRST_EPOCH}-{plan_id[:_DIGITS]}" if epoch == FIRST_EPOCH else epoch)


@dataclass(frozen=True)
class Epoch:
    """The files of one epoch of one stream.

    Attributes
    ----------
    folder : of the epoch
    groups : of the features that its bursts consist of
    """

    folder: Path
    groups: tuple[FeatureGroup, ...]

    # --- bursts

    def slots(self) -> dict[int, int]:
        """Return slot -> bytes of every burst that is kept."""
        files = (self.folder / _BURSTS).glob(f"*{_SUFFIX}") if self.folder.is_dir() else ()
        return {int(path.stem): path.stat().st_size for path in files if path.stem.lstrip("-").isdigit()}

    def bursts(self) -> dict[int, Burst]:
        """Return slot -> burst of every burst that is kept, in the order of the slots.

        Raises
        ------
        BadBaseline
            If one cannot be read.
        """
        return {slot: self._burst(slot) for slot in sorted(self.slots())}

    def _burst(self, slot: int) -> Burst:
        path = self._burst_file(slot)
        try:
            (burst,) = bursts_from_bytes(path.read_bytes(), self.groups)
        except (OSError, BadMessage, ValueError) as error:
            raise BadBaseline(f"{path} cannot be read ({error}): delete it, and learning goes on without it") from error
        return burst

    def add(self, slot: int, burst: Burst) -> None:
        """Keep a burst."""
        keep_file(self._burst_file(slot), bursts_to_bytes([burst], self.groups))

    def remove(self, slot: int) -> None:
        """Let go of a burst."""
        self._burst_file(slot).unlink(missing_ok=True)

    def _burst_file(self, slot: int) -> Path:
        return self.folder / _BURSTS / f"{slot}{_SUFFIX}"

    # --- baselines

    def fit_folder(self, name: str) -> Path:
        """Return the folder of the baseline of this name."""
        return self.folder / FITS / name

    def keep_fit(self, baseline: Baseline, stream: str) -> str:
        """Write a baseline unless it is there already; return the name of its folder."""
        name = baseline.digest[:_DIGITS]
        folder = self.fit_folder(name)
        if not folder.is_dir():
            staged = folder.with_name(f".{name}.new")
            shutil.rmtree(staged, ignore_errors=True)
            stored: StoredBaseline = save_baseline(baseline, staged)
            set_owner(stored.folder, stream)
            staged.rename(folder)
        folder.touch()  # the latest one is the youngest, also when it was there before
        return name

    def drop_old_fits(self, latest: str) -> None:
        """Remove all but the latest baselines."""
        folders = [path for path in (self.folder / FITS).iterdir() if path.name != latest and path.name[0] != "."]
        folders.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for folder in folders[_KEPT_FITS - 1 :]:
            shutil.rmtree(folder, ignore_errors=True)

    # --- status

    def write_status(self, status: LearningStatus) -> None:
        """Write how far the epoch is, beside its bursts."""
        keep_file(self.folder / STATUS_FILE, status.to_json().encode())


def keep_file(path: Path, data: bytes) -> None:
    """Write a file of an epoch whole, or raise `BadBaseline`, which says what to do."""
    try:
        write_whole(path, data)
    except OSError as error:
        raise BadBaseline(f"{path} cannot be written: {error.strerror or error}; free space") from error


def superfluous(sizes: Mapping[int, int], most_bytes: int, slot_seconds: float) -> list[int]:
    """Return which bursts to let go so that the rest takes `most_bytes` at most.

    Of the hour of the day that was seen most often, the latest burst goes first, so that the first days stay.

    Parameters
    ----------
    sizes : slot -> bytes
    slot_seconds : length of a slot
    """
    kept, gone = dict(sizes), []
    hours = {slot: int(slot * slot_seconds % _DAY_SECONDS // _HOUR_SECONDS) for slot in sizes}
    while sum(kept.values()) > most_bytes:
        often = Counter(hours[slot] for slot in kept)
        worst = max(kept, key=lambda slot: (often[hours[slot]], slot))
        gone.append(worst)
        del kept[worst]
    return gone
