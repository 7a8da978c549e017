"""Clips that features are extracted from: sampled as `baseline build` would sample half of them, and cached.

The cache depends on the content of the clip, the feature spec and the windows, so a change of the judge alone is
evaluated within a minute.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from benchmarks.clips import clips_below
from benchmarks.footage import Plan, plan
from benchmarks.workbench import fit
from common.contracts.batches import SourceKind
from common.contracts.ids import content_id
from common.drift.baseline import Baseline
from common.drift.windows import WindowRule
from common.errors import SentinelError
from common.extraction import Extractor, load_extractor
from common.features import FeatureBlock, Image
from common.modalities.video.decode import Frame
from common.modalities.video.frame_converter import StillPicture
from common.modalities.video.modality import VIDEO
from common.modalities.video.suffixes import IMAGE_SUFFIXES
from common.settings import Settings

_BLOCK_FRAMES = 32
_FEWEST_STILLS = 100  # a folder of fewer images is no clip


@dataclass(frozen=True)
class ClipFeatures:
    """Features of one clip, or of a folder of stills.

    Attributes
    ----------
    source : video file, or folder of images
    camera : the clips of one camera share it
    extractor : computes the features
    sampling : how the clip is sampled, and the windows that it is judged in
    folder : of its cache
    """

    source: Path
    camera: str
    extractor: Extractor
    sampling: Plan
    folder: Path

    @classmethod
    def open(cls, source: Path, camera: str, extractor: Extractor, settings: Settings, cache: Path) -> ClipFeatures:
        """Return the features of `source`, none of which are extracted yet; raises `BadSource`."""
        sampling = plan(source, extractor, settings, _kind(source))
        spec = extractor.feature_spec(sampling.fps)
        key = content_id(spec.to_json(), sampling.rule.to_json())[:12]
        return cls(source, camera, extractor, sampling, cache / f"{source.stem}-{_digest(source)}-{key}")

    @property
    def name(self) -> str:
        return self.source.stem

    @property
    def rule(self) -> WindowRule:
        """The windows that `baseline build` would choose for half of the clip."""
        return self.sampling.rule

    @property
    def fps(self) -> float:
        """Sampled frames per second."""
        return self.sampling.fps or self.sampling.native_fps

    @cached_property
    def whole(self) -> FeatureBlock:
        """All of the clip, clean."""
        return self.of("whole", lambda: self.frames(0, None))

    @property
    def half(self) -> int:
        """The number of frames of the first half."""
        return len(self.whole) // 2

    def frames(self, start: int, stop: int | None) -> Iterator[Frame]:
        """Yield the sampled frames [`start`, `stop`)."""
        return VIDEO.samples(
            self.source,
            _kind(self.source),
            sample_fps=self.sampling.fps,
            start=start,
            stop=stop,
            limits=self.extractor.limits,
        )

    def after_half(self, windows: int = 1) -> list[Frame]:
        """Return the frames of the first `windows` disjoint windows of the second half."""
        return list(self.frames(self.half, self.half + self.rule.frames * windows))

    def of(self, name: str, frames: Callable[[], Iterable[Frame]]) -> FeatureBlock:
        """Return the features of `frames`, from the cache if they were stored there by `name`."""
        stored = self.folder / f"{name}.bin"
        if not stored.exists():
            blocks = list(self.extractor.features(iter(frames()), self.name, _BLOCK_FRAMES))
            self.folder.mkdir(parents=True, exist_ok=True)
            part = stored.with_suffix(".part")
            part.write_bytes(FeatureBlock.concatenate(blocks).to_bytes())
            part.rename(stored)
        return FeatureBlock.from_bytes(stored.read_bytes())

    def known_for_half(self) -> Baseline:
        """Return a baseline of the first half, with a table of clean drift that the camera is not in.

        Raises `BadBaseline` if the half gives none.
        """
        return fit(self.camera, [(self.name, self.whole[: self.half])], self.rule)


def changed(frames: Sequence[Frame], images: Iterable[Image]) -> Iterator[Frame]:
    """Yield `frames` with other pictures."""
    return (replace(frame, picture=StillPicture(image)) for frame, image in zip(frames, images, strict=True))


def open_all(
    folders: Sequence[Path], settings: Settings, cache: Path, say: Callable[[str], None], only: str | None = None
) -> Iterator[ClipFeatures]:
    """Yield the clips below `folders`; one that cannot be read is left out.

    Parameters
    ----------
    cache : folder of the cache
    only : names of the cameras to yield, separated by commas; empty or None: all
    say : receives a message about each clip that is left out
    """
    extractor = load_extractor(settings, VIDEO, None)
    sources = sources_below(folders)
    cameras = camera_names([source.stem for source in sources])
    wanted = set(cameras.values()) if not only else set(only.split(","))
    for source in sources:
        if cameras[source.stem] not in wanted:
            continue
        try:
            yield ClipFeatures.open(source, cameras[source.stem], extractor, settings, cache)
        except SentinelError as error:
            say(f"{source.name} left out: {error}")


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


def _kind(source: Path) -> SourceKind:
    return SourceKind.FOLDER if source.is_dir() else SourceKind.RECORDING


def _digest(source: Path) -> str:
    """Return a digest of a file's content, or of the names and sizes of a folder's files."""
    if source.is_dir():
        return content_id(*(f"{path.name}:{path.stat().st_size}" for path in sorted(source.iterdir())))[:12]
    return hashlib.blake2b(source.read_bytes(), digest_size=6).hexdigest()
