"""Footage of fixed cameras for `benchmarks.rates` and `benchmarks.corpus`: features of clips, clean and with faults.

Features are cached by the content of the clip, the feature spec and the faults, so that a change of the judge is
evaluated within a minute.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.clips import clips_below
from benchmarks.footage import plan
from common.contracts.batches import SourceKind
from common.contracts.ids import content_id
from common.drift.windows import WindowRule
from common.errors import SentinelError
from common.extraction import Extractor, load_extractor
from common.features import FeatureBlock
from common.modalities.video.decode import Frame
from common.modalities.video.frame_converter import StillPicture
from common.modalities.video.modality import VIDEO
from common.modalities.video.suffixes import IMAGE_SUFFIXES
from common.settings import Settings
from simulation.faults import SEVERITIES, Fault, sabotage_frames

_SEED = 7  # of the saboteur
_BLOCK_FRAMES = 32
_FEWEST_STILLS = 100  # a folder of fewer images is no clip
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


def sources_below(folders: Sequence[Path]) -> list[Path]:
    """Return the videos in the folders and below, and the folders of stills."""
    found = [clip for folder in folders for clip in clips_below(folder)]
    for folder in folders:
        for below in sorted(path for path in folder.rglob("*") if path.is_dir()):
            images = sum(path.suffix.lower() in IMAGE_SUFFIXES for path in below.iterdir())
            found += [below] if images >= _FEWEST_STILLS else []
    return found


def camera_names(names: Sequence[str]) -> dict[str, str]:
    """Return the camera of each clip: `dock-2` is of the camera of `dock`, if there is such a clip.

    Examples
    --------
    >>> camera_names(["dock", "dock-2", "gate"])
    {'dock': 'dock', 'dock-2': 'dock', 'gate': 'gate'}
    """
    return {name: min((n for n in names if name == n or name.startswith(f"{n}-")), key=len) for name in names}


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
    extractor = load_extractor(settings, VIDEO, None)
    sources = sources_below(folders)
    cameras = camera_names([source.stem for source in sources])
    found = []
    for source in sources:
        try:
            found.append(_load(source, cameras[source.stem], extractor, settings, cache, faults=faults))
        except SentinelError as error:
            say(f"{source.name} left out: {error}")
        else:
            say(f"{source.name}: {len(found[-1].whole)} frames")
    return found


def _load(source: Path, camera: str, extractor: Extractor, settings: Settings, cache: Path, *, faults: bool) -> Clip:
    kind = SourceKind.FOLDER if source.is_dir() else SourceKind.RECORDING
    sampling = plan(source, extractor, settings, kind)
    fps, rule = sampling.fps, sampling.rule
    spec = extractor.feature_spec(fps)
    folder = cache / f"{source.stem}-{_digest(source)}-{content_id(spec.to_json(), rule.to_json())[:12]}"
    folder.mkdir(parents=True, exist_ok=True)

    def frames(start: int, stop: int | None) -> Iterator[Frame]:
        return VIDEO.samples(source, kind, sample_fps=fps, start=start, stop=stop, limits=extractor.limits)

    def features(name: str, read: Callable[[], Iterator[Frame]]) -> FeatureBlock:
        stored = folder / f"{name}.bin"
        if not stored.exists():
            blocks = list(extractor.features(read(), source.stem, _BLOCK_FRAMES))
            part = stored.with_suffix(".part")
            part.write_bytes(FeatureBlock.concatenate(blocks).to_bytes())
            part.rename(stored)
        return FeatureBlock.from_bytes(stored.read_bytes())

    whole = features("whole", lambda: frames(0, None))
    first: list[Frame] = []
    faulty = {}
    for severity in LEVELS if faults else ():
        for fault in Fault:

            def sabotaged(fault: Fault = fault, severity: int = severity) -> Iterator[Frame]:
                half = len(whole) // 2
                first.extend(frames(half, half + rule.frames * _FAULTY_WINDOWS) if not first else ())
                images = sabotage_frames((frame.image for frame in first), fault, severity, _SEED)
                return (replace(f, picture=StillPicture(i)) for f, i in zip(first, images, strict=True))

            amount = SEVERITIES[fault][severity - 1]
            faulty[fault, severity] = features(f"{fault}-{severity}-{amount:g}", sabotaged)
    return Clip(source.stem, camera, rule, fps or sampling.native_fps, whole, faulty)


def _digest(source: Path) -> str:
    """Return a digest of a file's content, or of the names and sizes of a folder's files."""
    if source.is_dir():
        return content_id(*(f"{path.name}:{path.stat().st_size}" for path in sorted(source.iterdir())))[:12]
    return hashlib.blake2b(source.read_bytes(), digest_size=6).hexdigest()
