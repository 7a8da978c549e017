"""Footage of fixed cameras for `benchmarks.rates` and `benchmarks.corpus`: features of clips, clean and with faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clip_features import ClipFeatures, changed, open_all
from common.drift.windows import WindowRule
from common.errors import SentinelError
from common.features import FeatureBlock
from common.modalities.video.decode import Frame
from common.settings import Settings
from simulation.faults import SEVERITIES, Fault, sabotage_frames

_SEED = 7  # of the saboteur
LEVELS = (1, 3, 5)
"""The severities that are measured."""
_FAULTY_WINDOWS = 2  # disjoint windows of each fault


@dataclass(frozen=True)
class Clip:
    """Features of one clip.

    Attributes
    ----------
    name : of the clip
    camera : the clips of one camera share it
    rule : the windows that `baseline build` would choose for half of it
    fps : sampled frames per second
    whole : all of it, clean
    faulty : by fault and severity, the first windows of the second half, with the fault in every frame
    """

    name: str
    camera: str
    rule: WindowRule
    fps: float
    whole: FeatureBlock
    faulty: dict[tuple[Fault, int], FeatureBlock]


def load_clips(
    folders: Sequence[Path], settings: Settings, cache: Path, say: Callable[[str], None], *, faults: bool = True
) -> list[Clip]:
    """Return the features of all clips below `folders`, from the cache where possible; a clip that fails is left out.

    Parameters
    ----------
    cache : folder of the cache
    say : receives a message after each clip
    faults : whether features of the faults are wanted
    """
    found = []
    for clip in open_all(folders, settings, cache, say):
        try:
            faulty = dict(_faulty(clip)) if faults else {}
            found.append(Clip(clip.name, clip.camera, clip.rule, clip.fps, clip.whole, faulty))
        except SentinelError as error:
            say(f"{clip.source.name} left out: {error}")
        else:
            say(f"{clip.source.name}: {len(clip.whole)} frames")
    return found


def _faulty(clip: ClipFeatures) -> Iterator[tuple[tuple[Fault, int], FeatureBlock]]:
    first: list[Frame] = []
    for severity in LEVELS:
        for fault in Fault:

            def sabotaged(fault: Fault = fault, severity: int = severity) -> Iterator[Frame]:
                first.extend(() if first else clip.after_half(_FAULTY_WINDOWS))
                return changed(first, sabotage_frames((frame.image for frame in first), fault, severity, _SEED))

            amount = SEVERITIES[fault][severity - 1]
            yield (fault, severity), clip.of(f"{fault}-{severity}-{amount:g}", sabotaged)
