"""Feature extraction: a range of a source is decoded once, and both feature groups are computed from it.

The embedding workers, `sentinel check` and `sentinel baseline build` all use this
module, so the same frames always give the same features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from common.backbones import Backbone
from common.contracts.batches import FeatureSpec, SourceKind
from common.errors import BadSource, BaselineMismatch
from common.features import FeatureBlock, FloatArray, Image, time_source_code, to_half_precision
from common.modalities.video.capture_time import capture_times
from common.modalities.video.decode import DECODE_PIPELINE, Frame, decode_image, probe, sampled_frames
from common.modalities.video.groups import EMBEDDING, QUALITY
from common.modalities.video.sensors import SENSOR_NAMES, SENSORS_VERSION, measure
from common.sources.capture_time import UNKNOWN_TIMES, CaptureTimes
from common.sources.local import Limits


@dataclass
class _Batch:
    """Frames that will form one block: scaled images, sensor readings, times in s, indices in their source."""

    small: list[Image] = field(default_factory=list)
    quality: list[FloatArray] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)


class Extractor:
    """Computes features with one loaded backbone. Create it after a fork, one per process.

    Parameters
    ----------
    backbone : the loaded embedding model
    limits : largest frames and sources that are accepted
    """

    def __init__(self, backbone: Backbone, limits: Limits) -> None:
        self.backbone = backbone
        self.limits = limits
        # Work is parallel by processes, one per core; OpenCV's own threads would only compete with them.
        cv2.setNumThreads(1)

    def feature_spec(self, sample_fps: float | None) -> FeatureSpec:
        """Return the feature spec of this extractor at `sample_fps` frames per second (None: every frame)."""
        return FeatureSpec(
            backbone=self.backbone.name,
            weights=self.backbone.weights_digest,
            precision=self.backbone.precision,
            decode_pipeline=DECODE_PIPELINE,
            sensors=SENSORS_VERSION,
            sample_fps=sample_fps,
        )

    def require(self, wanted: FeatureSpec) -> None:
        """Raise `BaselineMismatch` if this extractor cannot reproduce the feature spec `wanted`."""
        mine = self.feature_spec(wanted.sample_fps)
        advice = {
            "backbone": "set SENTINEL_BACKBONE",
            "weights": "set SENTINEL_WEIGHTS",
            "precision": "use a device that has it",
            "decode_pipeline": "rebuild the baseline with this version",
            "sensors": "rebuild the baseline with this version",
        }
        for name, what_to_do in advice.items():
            have, want = getattr(mine, name), getattr(wanted, name)
            if have != want:
                raise BaselineMismatch(
                    f"this worker has {name} {_short(have)}, the baseline wants {_short(want)}: {what_to_do}"
                )

    def extract(
        self,
        path: Path,
        kind: SourceKind,
        *,
        uri: str,
        sample_fps: float | None,
        start: int = 0,
        stop: int | None = None,
        names: Sequence[str] = (),
        digests: Sequence[str] = (),
        taken: CaptureTimes = UNKNOWN_TIMES,
    ) -> FeatureBlock:
        """Return the features of the sampled frames [`start`, `stop`) of a source; a `stop` of None means its end.

        Parameters
        ----------
        names : for a folder whose listing is known, the images of the range
        digests : of those images, or of the single image; an image with other content is refused
        taken : capture times of the frames of the range

        Raises
        ------
        BadSource
            If the source cannot be decoded, or a frame's features are not finite.
        """
        frames = sampled_frames(
            path, kind, sample_fps=sample_fps, start=start, stop=stop, limits=self.limits,
            names=names, digests=digests,
        )  # fmt: skip
        blocks = list(self.features(frames, uri, self.backbone.batch, taken, first=start))
        return FeatureBlock.concatenate(blocks) if blocks else self.empty()

    def blocks(
        self, path: Path, kind: SourceKind, *, uri: str, sample_fps: float | None, size: int
    ) -> Iterator[FeatureBlock]:
        """Yield the features of a whole source in blocks of `size` frames, so that its length costs no memory."""
        frames = sampled_frames(path, kind, sample_fps=sample_fps, start=0, stop=None, limits=self.limits)
        taken = capture_times(path, probe(path, kind, self.limits), self.limits)
        return self.features(frames, uri, size, taken)

    def extract_bytes(self, data: bytes, *, uri: str, taken: CaptureTimes = UNKNOWN_TIMES) -> FeatureBlock:
        """Return the features of one encoded image held in memory."""
        image = decode_image(data, uri, self.limits)
        return next(self.features(iter([Frame.of(image, 0, 0.0)]), uri, 1, taken))

    def empty(self) -> FeatureBlock:
        """Return a block of no frames, as wide as this extractor's features."""
        return FeatureBlock.empty({EMBEDDING: self.backbone.output_size, QUALITY: len(SENSOR_NAMES)})

    def features(
        self, frames: Iterator[Frame], uri: str, size: int, taken: CaptureTimes = UNKNOWN_TIMES, *, first: int = 0
    ) -> Iterator[FeatureBlock]:
        """Yield the features of decoded frames in blocks of `size`.

        A backbone on another device embeds one block while the next is decoded.

        Parameters
        ----------
        taken : capture times of the frames
        first : index in the source of the first frame that `taken` covers
        """

        def join(batch: _Batch) -> FeatureBlock:
            return self._join(batch, uri, taken, first)

        if not self.backbone.offloaded:
            yield from map(join, self._batches(frames, size))
            return
        with ThreadPoolExecutor(1) as device:
            waiting: Future[FeatureBlock] | None = None
            for batch in self._batches(frames, size):
                following = device.submit(join, batch)
                if waiting is not None:
                    yield waiting.result()
                waiting = following
            if waiting is not None:
                yield waiting.result()

    def _batches(self, frames: Iterator[Frame], size: int) -> Iterator[_Batch]:
        # Native frames are large, so each is reduced to readings and a small image at once, and none is kept.
        batch = _Batch()
        for frame in frames:
            batch.quality.append(measure(frame.picture.planes()))
            batch.small.append(frame.picture.small(self.backbone.input_size))
            batch.times.append(frame.time)
            batch.positions.append(frame.index)
            if len(batch.times) == size:
                yield batch
                batch = _Batch()
        if batch.times:
            yield batch

    def _join(self, batch: _Batch, uri: str, taken: CaptureTimes, first: int) -> FeatureBlock:
        embedding = self.backbone.embed(np.stack(batch.small))
        sensors = np.stack(batch.quality)
        times, count = batch.times, len(batch.times)
        if not (np.isfinite(embedding).all() and np.isfinite(sensors).all()):
            raise BadSource(
                f"{uri}: a frame between {times[0]:.2f} s and {times[-1]:.2f} s gives features that are not finite"
            )
        taken_at = [taken.of_frame(index - first, at) for index, at in zip(batch.positions, times, strict=True)]
        return FeatureBlock(
            {EMBEDDING: to_half_precision(embedding), QUALITY: sensors},
            np.array(times, np.float64),
            (uri,),
            np.zeros(count, np.int32),
            np.array(taken_at, np.float64),
            np.full(count, time_source_code(taken.known_by), np.uint8),
        )


def _short(value: str) -> str:
    """Return `value`, digests cut to their first 12 characters."""
    return value if len(value) <= 40 else value[:12] + "…"
