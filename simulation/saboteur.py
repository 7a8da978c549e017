"""Makes drifted footage: a copy of an image, a folder of images or a video with one fault in it.

For tests, demos, and to see what a monitor would notice. The faults themselves
are in `faults`; the table of severities there says what 1 to 5 mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2

from common.contracts.batches import SourceKind
from common.errors import BadSource
from common.features import Image
from common.modalities.video.decode import probe, sampled_frames
from common.modalities.video.encode import writable_suffix, write_frames
from common.modalities.video.frame import Frame
from common.modalities.video.stills import decode_file
from common.sources.local import Limits, describe_kind, images_in
from simulation.faults import SEVERITIES, Fault, amount_of, sabotage_frame, sabotage_frames

__all__ = ["SEVERITIES", "Fault", "copy_name", "sabotage", "sabotage_frame", "sabotage_frames"]

_NEAR_LOSSLESS = 97  # quality of the copy of a JPEG or WebP: only the fault should differ
_OPTIONS = {
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, _NEAR_LOSSLESS],
    ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, _NEAR_LOSSLESS],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, _NEAR_LOSSLESS],
}


def sabotage(
    source: Path, target: Path, fault: Fault, severity: int, seed: int = 0, *, title: str | None = None,
    limits: Limits | None = None,
) -> None:  # fmt: skip
    """Write a copy of `source` with `fault` in it to `target`, which appears when it is whole.

    An image or a folder keeps its names and formats. A video is encoded anew,
    near losslessly and with the times of its frames; sound is left out.

    Parameters
    ----------
    source : an image, a folder of images, or a video
    target : a file of the same kind, or the folder for the copies; see `copy_name`
    severity : 1 (mild) to 5 (gross)
    seed : equal seeds give equal footage
    title : metadata of a video
    limits : what a frame may measure; the usual ones unless given

    Raises
    ------
    BadSource
        If `source` cannot be read, or is `target` itself.
    ValueError
        If there is no such severity.
    """
    limits = limits or Limits()
    amount_of(fault, severity)
    if source.resolve() == target.resolve():
        raise BadSource(f"{source} would be overwritten by its sabotaged copy: name another target")
    kind = describe_kind(source)
    if kind is SourceKind.VIDEO:
        fps = probe(source, kind, limits).fps
        write_frames(target, _spoilt_video(source, fault, severity, seed, limits), fps, title=title)
        return
    images = images_in(source, limits) if kind is SourceKind.FOLDER else [source]
    clean = (decode_file(image, limits) for image in images)
    for image, spoilt in zip(images, sabotage_frames(clean, fault, severity, seed), strict=True):
        _write_still(target / image.name if kind is SourceKind.FOLDER else target, spoilt)


def copy_name(source: Path, fault: Fault, severity: int) -> str:
    """Return a name for the sabotaged copy of `source`, with a suffix that can be written."""
    name = f"{source.name if source.is_dir() else source.stem}-{fault.value}-{severity}"
    kind = describe_kind(source)
    if kind is SourceKind.FOLDER:
        return name
    return name + (writable_suffix(source.suffix) if kind is SourceKind.VIDEO else source.suffix)


def _spoilt_video(source: Path, fault: Fault, severity: int, seed: int, limits: Limits) -> Iterator[Frame]:
    times: list[tuple[int, float]] = []

    def clean() -> Iterator[Image]:
        frames = sampled_frames(source, SourceKind.VIDEO, sample_fps=None, start=0, stop=None, limits=limits)
        for frame in frames:
            times.append((frame.index, frame.time))
            yield frame.image

    for spoilt in sabotage_frames(clean(), fault, severity, seed):
        index, time = times.pop()
        yield Frame.of(spoilt, index, time)


def _write_still(path: Path, image: Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    options = _OPTIONS.get(path.suffix.lower(), [])
    channels = cv2.COLOR_RGB2GRAY if path.suffix.lower() == ".pgm" else cv2.COLOR_RGB2BGR
    try:
        done, data = cv2.imencode(path.suffix, cv2.cvtColor(image, channels), options)
    except cv2.error as error:
        raise BadSource(f"{path}: images cannot be written as {path.suffix} ({error.err}); name it .png") from error
    if not done:
        raise BadSource(f"{path}: images cannot be written as {path.suffix}; name it .png")
    staging = path.with_name(f".{path.name}.part")
    try:
        staging.write_bytes(data.tobytes())
        staging.replace(path)
    finally:
        staging.unlink(missing_ok=True)
