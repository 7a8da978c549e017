"""The frame triplets that learning keeps of a stream, spread over its hours, for the golden replay of its model."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from common.baselines.learning.epoch import FITS, PICTURES, STATUS_FILE, keep_file
from common.baselines.storage import load_replay
from common.contracts.learning import LearningStatus
from common.errors import BadBaseline, BadMessage, BadSource, StorageUnavailable
from common.features import FeatureBlock
from common.models.kinds import load_kind
from common.models.protocols import Examples
from common.npz import read_npz
from common.object_root import Root
from common.settings import Settings
from common.sources.limits import Limits
from common.stream_config import model_of

log = logging.getLogger(__name__)

MOST_PICTURES = 200
"""Examples of one stream, about 150 MB before compression."""
_MOST_OF_A_BURST = 12  # enough to train a first model on the first burst alone
_SPAN_SECONDS = 2.0  # of footage that is read of a burst: consecutive frames at their native rate
_FEWEST_FRAMES = 3
NOT_KEPT = "SENTINEL_KEEP_PICTURES is off, so learning keeps no frames: set it to on, and later bursts give some"


class Call(Protocol):
    """Calls what opens untrusted files, as `Sandbox.call` does."""

    def __call__(self, function: Callable[..., Examples], /, *arguments: object, subject: str) -> Examples: ...


def directly(function: Callable[..., Examples], /, *arguments: object, subject: str) -> Examples:
    """Call `function` in this process: one of a worker's pool, which may die of a file, and is replaced."""
    return function(*arguments)


def golden_examples(folder: Path) -> Examples | None:
    """Return the golden examples (n, ...) uint8 that are kept beside the baseline in `folder`, learned or built.

    None if there are none.

    Raises
    ------
    BadBaseline
        If they cannot be read, or none are kept on purpose; the message says why.
    """
    if folder.parent.name != FITS:
        return load_replay(folder)
    found = [examples for examples in load_pictures(folder.parent.parent).values() if len(examples)]
    if found:
        return np.concatenate(found)
    reason = _why_none(folder.parent.parent)
    if reason:
        raise BadBaseline(reason)
    return None


def _why_none(epoch: Path) -> str:
    try:
        return LearningStatus.from_json((epoch / STATUS_FILE).read_bytes()).no_pictures
    except (OSError, BadMessage):
        return ""


def load_pictures(epoch: Path) -> dict[int, Examples]:
    """Return slot -> examples (n, ...) uint8 of each burst of which some are kept, in the order of the slots."""
    return {slot: _read(path) for slot, (path, _) in _files(epoch).items()}


def count_pictures(epoch: Path) -> int:
    """Return how many examples are kept."""
    return sum(count for _, count in _files(epoch).values())


def _files(epoch: Path) -> dict[int, tuple[Path, int]]:
    """Return slot -> file and number of examples, in the order of the slots; files are called `SLOT-COUNT.npz`."""
    found: dict[int, tuple[Path, int]] = {}
    for path in (epoch / PICTURES).glob("*.npz"):
        slot, _, count = path.stem.rpartition("-")
        # Of a burst that was being thinned out when the process was killed there are two, and the smaller one counts.
        if slot and count.isdigit() and int(count) <= found.get(int(slot), (path, int(count)))[1]:
            found[int(slot)] = (path, int(count))
    return dict(sorted(found.items()))


def _read(path: Path) -> Examples:
    try:
        examples = read_npz(path)["examples"]
        if examples.dtype != np.uint8 or examples.ndim < _FEWEST_FRAMES:
            raise BadMessage("they are no examples")
    except (OSError, BadMessage, KeyError) as error:
        raise BadBaseline(f"{path} cannot be read ({error}): delete it, and healing goes on without it") from error
    return examples


def keep_pictures(
    epoch: Path, blocks: Mapping[int, FeatureBlock], stream: str, settings: Settings, call: Call = directly
) -> None:
    """Read frame triplets of the bursts in `blocks` (slot -> features) and keep them, as long as there is room.

    Of each burst as many are kept as of every other one, so that all hours have their share. A source that is gone,
    such as an image from inside a camera event, or that its storage does not give, gives none.

    Parameters
    ----------
    call : calls what opens the files; a process that is no worker's gives `Sandbox.call`
    """
    kept = _files(epoch)
    wanted = {slot: block for slot, block in sorted(blocks.items()) if slot not in kept}
    model, limits = model_of(settings, stream), Limits.from_settings(settings)
    for slot, block in wanted.items():
        each = min(_MOST_OF_A_BURST, MOST_PICTURES // (len(_files(epoch)) + 1))
        if each == 0:
            return
        try:
            found = call(_examples, model, moving_part(block), limits, settings.roots, subject=stream)
        except (BadSource, StorageUnavailable, OSError) as error:
            log.info("stream %s: no frames of a burst are kept: %s", stream, error)
            continue
        if len(found):
            _thin_out(epoch, each)
            _write(epoch, slot, _spread(found, each))


def _thin_out(epoch: Path, each: int) -> None:
    """Keep at most `each` examples of every burst."""
    for slot, (path, count) in _files(epoch).items():
        if count > each:
            _write(epoch, slot, _spread(_read(path), each))
            path.unlink()


def _spread(examples: Examples, most: int) -> Examples:
    return np.asarray(
        examples[np.linspace(0, len(examples) - 1, min(most, len(examples))).round().astype(int)], np.uint8
    )


def _write(epoch: Path, slot: int, examples: Examples) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, examples=examples)
    keep_file(epoch / PICTURES / f"{slot}-{len(examples)}.npz", buffer.getvalue())


def moving_part(block: FeatureBlock) -> FeatureBlock:
    """Return consecutive frames from the middle of a burst, two seconds of one source, or a few stills."""
    middle = len(block) // 2
    if len(block.sources) == len(block):
        return block[max(0, middle - _MOST_OF_A_BURST // 2) : middle + _MOST_OF_A_BURST // 2 + 2]
    same = block.source_index == block.source_index[middle]
    near = same & (np.abs(block.times - block.times[middle]) <= _SPAN_SECONDS / 2)
    places = np.flatnonzero(near)
    stop = max(int(places[-1]) + 1, min(int(places[0]) + _FEWEST_FRAMES, len(block)))
    return block[int(places[0]) : stop]


def _examples(model: str, clip: FeatureBlock, limits: Limits, roots: Sequence[Root]) -> Examples:
    return load_kind(model).read_stretch(clip, limits=limits, roots=roots, most=_MOST_OF_A_BURST).examples
