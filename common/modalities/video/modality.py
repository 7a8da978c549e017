"""Video as a modality, which entry point `video` offers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2

from common.contracts.batches import FIRST_MODALITY, SourceKind
from common.contracts.clean_drift import DriftTable
from common.contracts.feature_groups import FeatureGroup
from common.contracts.shifts import Shifts
from common.contracts.verdicts import Cause
from common.contracts.zones import Zone
from common.features import FloatArray, Image, TimeSource
from common.modalities.modality import Embedding, SourceFacts
from common.modalities.video.capture_time import capture_times, exif_time
from common.modalities.video.chunking import chunk_video
from common.modalities.video.clean_drift import clean_drift
from common.modalities.video.decode import DECODE_PIPELINE, Frame, decode_image, probe, probe_image, sampled_frames
from common.modalities.video.diagnosis import diagnose
from common.modalities.video.frame import SourceInfo
from common.modalities.video.groups import EMBEDDING, QUALITY, VIEW, VITALS, feature_groups
from common.modalities.video.sensors import SENSORS_VERSION, measure
from common.modalities.video.suffixes import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from common.modalities.video.timeline import key_seconds
from common.modalities.video.view import view_of
from common.sources.capture_time import CaptureTimes, is_plausible
from common.sources.limits import Limits


def _small(frame: Frame, side: int) -> Image:
    return frame.picture.small(side)


def _reduced(frame: Frame, longest: int) -> Image:
    return frame.picture.reduced(longest)


def _masked(frame: Frame, zones: tuple[Zone, ...]) -> Frame:
    return replace(frame, picture=frame.picture.without(zones))


class Video:
    """Videos, images and folders of images, judged by a backbone's embedding, camera-quality sensors and the view."""

    name = FIRST_MODALITY
    suffixes: Mapping[str, SourceKind] = {
        **dict.fromkeys(VIDEO_SUFFIXES, SourceKind.RECORDING),
        **dict.fromkeys(IMAGE_SUFFIXES, SourceKind.IMAGE),
    }
    decode_pipeline = DECODE_PIPELINE
    sensors_version = SENSORS_VERSION
    libraries = ("opencv-python-headless", "av")
    embedding = Embedding(EMBEDDING, _small)
    mask = staticmethod(_masked)
    picture = staticmethod(_reduced)

    @property
    def clean_drift(self) -> DriftTable:
        return clean_drift()

    def groups(self, embedding_size: int) -> tuple[FeatureGroup, ...]:
        return feature_groups(embedding_size)

    def probe(self, path: Path, kind: SourceKind, limits: Limits) -> SourceFacts:
        info = probe(path, kind, limits)
        return _facts(info, capture_times(path, info, limits))

    def probe_data(self, data: bytes, name: str, limits: Limits) -> SourceFacts:
        info, taken_at = probe_image(data, name, limits), exif_time(data)
        if taken_at is not None and is_plausible(taken_at):
            return _facts(info, CaptureTimes(taken_at, TimeSource.EXIF))
        return _facts(info, CaptureTimes(time.time(), TimeSource.RECEIVED))

    def key_seconds(self, path: Path, limits: Limits) -> float | None:
        return key_seconds(path, limits)

    def chunk(self, path: Path, sample_fps: float | None, size: int, limits: Limits) -> tuple[int, tuple[int, ...]]:
        return chunk_video(path, sample_fps, size, limits)

    def samples(
        self,
        path: Path,
        kind: SourceKind,
        *,
        sample_fps: float | None,
        start: int,
        stop: int | None,
        limits: Limits,
        names: Sequence[str] = (),
        digests: Sequence[str] = (),
    ) -> Iterator[Frame]:
        _one_thread()
        return sampled_frames(
            path, kind, sample_fps=sample_fps, start=start, stop=stop, limits=limits, names=names, digests=digests
        )

    def samples_of_data(self, data: bytes, name: str, limits: Limits) -> Iterator[Frame]:
        _one_thread()
        yield Frame.of(decode_image(data, name, limits), 0, 0.0)

    def readings(self, sample: Frame) -> Mapping[str, FloatArray]:
        planes = sample.picture.planes()
        vitals = {} if sample.vitals is None else {VITALS: sample.vitals}
        return {QUALITY: measure(planes), VIEW: view_of(planes), **vitals}

    def diagnose(self, shifts: Shifts) -> Cause:
        return diagnose(shifts)


def _one_thread() -> None:
    # Work is parallel by processes, one per core; OpenCV's own threads would only compete with them.
    cv2.setNumThreads(1)


def _facts(info: SourceInfo, times: CaptureTimes) -> SourceFacts:
    return SourceFacts(info.kind, info.fps, info.duration, info.frames, times)


VIDEO = Video()
