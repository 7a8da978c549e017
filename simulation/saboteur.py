"""Makes drifted footage: a copy of an image, a folder of images or a video with one fault.

It serves tests, demonstrations, and people who want to see which faults are
detected. `simulation.faults` defines the faults of pictures and their severities,
`simulation.stream_faults` those of a recording as a whole, which stills cannot have.
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
from common.sources.limits import Limits
from common.sources.local import describe_kind, images_in
from common.whole_files import write_whole
from simulation.faults import SEVERITIES, Fault, amount_of, at_severity, sabotage_frame, sabotage_frames
from simulation.stream_faults import STREAM_SEVERITIES, StreamFault, corrupted, is_dropped

__all__ = [
    "SEVERITIES",
    "STREAM_SEVERITIES",
    "Fault",
    "StreamFault",
    "copy_name",
    "fault_of",
    "sabotage",
    "sabotage_frame",
    "sabotage_frames",
]

_NEAR_LOSSLESS = 97  # JPEG and WebP quality, so that copy and original differ by the fault alone
_OPTIONS = {
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, _NEAR_LOSSLESS],
    ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, _NEAR_LOSSLESS],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, _NEAR_LOSSLESS],
}


def sabotage(
    source: Path, target: Path, fault: Fault | StreamFault, severity: int, seed: int = 0, *, title: str | None = None,
    limits: Limits | None = None,
) -> None:  # fmt: skip
    """Write a copy of `source` with a fault to `target`; each file appears when it is complete.

    Images keep their names and formats. A video is re-encoded nearly without
    loss; its frames keep their times, and sound is dropped.

    Parameters
    ----------
    source : an image, a folder of images, or a video
    target : file of the same kind, or folder for the copies; see `copy_name`
    severity : 1 (mild) to 5 (gross)
    seed : equal seeds give equal footage
    title : written to the metadata of a video
    limits : what the source may measure; None: the defaults

    Raises
    ------
    BadSource
        If `source` cannot be read, is `target` itself, or has a format that cannot be written; or if it is no video,
        and the fault is one of a recording.
    ValueError
        If the severity is not 1 to 5.
    """
    limits = limits or Limits()
    amount = amount_of(fault, severity) if isinstance(fault, Fault) else at_severity(STREAM_SEVERITIES[fault], severity)
    if source.resolve() == target.resolve():
        raise BadSource(f"{source} would be overwritten by its sabotaged copy: name another target")
    kind = describe_kind(source)
    if kind is SourceKind.RECORDING:
        fps = probe(source, kind, limits).fps
        if isinstance(fault, Fault):
            write_frames(target, _sabotaged_video(source, fault, severity, seed, limits), fps, title=title)
            return
        frames = sampled_frames(source, kind, sample_fps=None, start=0, stop=None, limits=limits)
        if fault is StreamFault.DROPPED_FRAMES:
            kept = (frame for frame in frames if not is_dropped(amount, seed, frame.index))
            write_frames(target, kept, fps, title=title)
        else:
            write_frames(target, frames, fps, title=title, damage=lambda d, number: corrupted(d, amount, seed, number))
        return
    if not isinstance(fault, Fault):
        raise BadSource(f"{source} is no video: {fault} is a fault of a recording; name one")
    images = images_in(source, limits) if kind is SourceKind.FOLDER else [source]
    clean = (decode_file(image, limits) for image in images)
    for image, faulty in zip(images, sabotage_frames(clean, fault, severity, seed), strict=True):
        _write_still(target / image.name if kind is SourceKind.FOLDER else target, faulty)


def fault_of(name: str) -> Fault | StreamFault:
    """Return the fault of this name; raise `ValueError` if there is none."""
    return StreamFault(name) if name in set(StreamFault) else Fault(name)


def copy_name(source: Path, fault: Fault | StreamFault, severity: int) -> str:
    """Return a file or folder name for the sabotaged copy of `source`, with a suffix that can be written."""
    name = f"{source.name if source.is_dir() else source.stem}-{fault.value}-{severity}"
    kind = describe_kind(source)
    if kind is SourceKind.FOLDER:
        return name
    return name + (writable_suffix(source.suffix) if kind is SourceKind.RECORDING else source.suffix)


def _sabotaged_video(source: Path, fault: Fault, severity: int, seed: int, limits: Limits) -> Iterator[Frame]:
    times: list[tuple[int, float]] = []

    def clean() -> Iterator[Image]:
        frames = sampled_frames(source, SourceKind.RECORDING, sample_fps=None, start=0, stop=None, limits=limits)
        for frame in frames:
            times.append((frame.index, frame.time))
            yield frame.image

    for faulty in sabotage_frames(clean(), fault, severity, seed):
        index, time = times.pop()
        yield Frame.of(faulty, index, time)


def _write_still(path: Path, image: Image) -> None:
    options = _OPTIONS.get(path.suffix.lower(), [])
    channels = cv2.COLOR_RGB2GRAY if path.suffix.lower() == ".pgm" else cv2.COLOR_RGB2BGR
    try:
        done, data = cv2.imencode(path.suffix, cv2.cvtColor(image, channels), options)
    except cv2.error as error:
        raise BadSource(f"{path}: images cannot be written as {path.suffix} ({error.err}); name it .png") from error
    if not done:
        raise BadSource(f"{path}: images cannot be written as {path.suffix}; name it .png")
    write_whole(path, data.tobytes())
