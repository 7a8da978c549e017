"""The golden baseline: what streams look like when all is well."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from common.contracts.batches import FeatureSpec
from common.drift.calibration import null_starts
from common.drift.feature_groups import quality_names
from common.drift.manifest import BaselineManifest, ClipSummary
from common.drift.scene_change import Mixture, two_scenes
from common.drift.segment import Bounds, Segment, fit_segment
from common.drift.windows import WindowRule
from common.errors import BadBaseline, BaselineTooShort
from common.features import FeatureBlock

Arrays = dict[str, npt.NDArray[Any]]

_FEWEST_NULL_WINDOWS = 4  # below that, "the largest distance seen" says nothing
_FEWEST_DISTINCT = 3  # frames; footage of one repeated picture has no variation to calibrate on
_COLUMNS = ("embedding", "embedding_spread", "quality", "quality_spread", "reference_median")


@dataclass(frozen=True, eq=False)
class Baseline:
    """Golden clips, each a segment with a null of its own. `fit` makes one, `judge` (in `judge.py`) uses it.

    Attributes
    ----------
    feature_spec : how its features were made
    rule : the windows that it judges
    segments : one a clip; clips accepted by promotions come after the golden ones
    replay : (n, 3, height, width, 3) uint8 golden frame triplets for fine-tuning, carried untouched; or None
    """

    name: str
    feature_spec: FeatureSpec
    rule: WindowRule
    sensor_names: tuple[str, ...]
    minimum_effects: tuple[float, ...]
    segments: tuple[Segment, ...]
    null_false_alarms: float
    libraries: Mapping[str, str]
    created_at: float
    replay: npt.NDArray[np.uint8] | None = None

    @classmethod
    def fit(
        cls,
        clips: Sequence[tuple[str, FeatureBlock]],
        *,
        name: str,
        feature_spec: FeatureSpec,
        rule: WindowRule,
        sensor_names: tuple[str, ...],
        minimum_effects: tuple[float, ...],
        created_at: float,
        libraries: Mapping[str, str],
        replay: npt.NDArray[np.uint8] | None = None,
    ) -> Baseline:
        """Learn golden clips, given by name and features in order.

        Raises
        ------
        BaselineTooShort
            If a clip is too short for a null; the message says how long it must be.
        BadBaseline
            If there is no clip, or one is a single picture repeated.
        BadMessage
            If features are not finite.
        """
        if not clips:
            raise BadBaseline("there is no golden clip: give at least one")
        for clip, block in clips:
            _require_footage(clip, block, rule.frames)
        segments = [
            fit_segment(clip, block, window=rule.frames, names=sensor_names, minimum_effects=minimum_effects)
            for clip, block in clips
        ]
        made = cls(
            name,
            feature_spec,
            rule,
            sensor_names,
            minimum_effects,
            tuple(segments),
            0.0,
            dict(libraries),
            created_at,
            replay,
        )
        return replace(made, null_false_alarms=_own_failures(made, clips))

    def extended(self, clips: Sequence[tuple[str, FeatureBlock]]) -> Baseline:
        """Return a baseline that also covers `clips`: footage that a promotion accepted.

        They may be as short as one window. What they are too short to show is
        borrowed from the golden clips, with more room.
        """
        golden = [segment for segment in self.segments if segment.summary.golden]
        fresh = [
            fit_segment(
                clip,
                block,
                window=self.rule.frames,
                names=self.sensor_names,
                minimum_effects=self.minimum_effects,
                like=golden,
            )
            for clip, block in clips
        ]
        return replace(self, segments=(*self.segments, *fresh))

    @property
    def embedding_size(self) -> int:
        return int(self.segments[0].embedding.shape[1])

    @property
    def quality_size(self) -> int:
        """Width of the sensors' part of a `FeatureBlock`."""
        return len(self.sensor_names)

    @property
    def false_alarm_rate_held(self) -> float:
        """The smallest share of clean windows that the golden footage can vouch for: of n + 1 windows alike, each
        is the farthest off with probability 1 / (n + 1), and n golden ones were seen."""
        return 1.0 / (
            1.0 + sum(segment.summary.effective_windows for segment in self.segments if segment.summary.golden)
        )

    @property
    def frames_per_second(self) -> float:
        """Sampled frames a second of the golden footage."""
        golden = [segment.summary for segment in self.segments if segment.summary.golden]
        return sum(clip.frames for clip in golden) / max(sum(clip.seconds for clip in golden), 1e-6)

    @property
    def quality_columns(self) -> tuple[str, ...]:
        return quality_names(self.sensor_names)

    @property
    def digest(self) -> str:
        """The baseline's id: equal content, equal digest."""
        digest = hashlib.blake2b(self.to_manifest().to_json().encode(), digest_size=16)
        for name, array in sorted(self.to_arrays().items()):
            digest.update(f"{name}{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def to_manifest(self) -> BaselineManifest:
        return BaselineManifest(
            name=self.name,
            feature_spec=self.feature_spec,
            rule=self.rule,
            sensor_names=self.sensor_names,
            minimum_effects=self.minimum_effects,
            embedding_size=self.embedding_size,
            clips=tuple(segment.summary for segment in self.segments),
            null_false_alarms=self.null_false_alarms,
            false_alarm_rate_held=self.false_alarm_rate_held,
            libraries=dict(self.libraries),
            created_at=self.created_at,
        )

    def to_arrays(self) -> Arrays:
        """Return everything that is not in the manifest, by name."""
        arrays: Arrays = {}
        for number, segment in enumerate(self.segments):
            for column in _COLUMNS:
                arrays[f"{number}.{column}"] = getattr(segment, column)
            for group, bounds in (("embedding", segment.embedding_bounds), ("quality", segment.quality_bounds)):
                arrays[f"{number}.{group}_bound"] = bounds.distance
                arrays[f"{number}.{group}_size"] = bounds.size
        if self.replay is not None:
            arrays["replay"] = self.replay
        return arrays

    @classmethod
    def from_parts(cls, manifest: BaselineManifest, arrays: Arrays) -> Baseline:
        """Put a baseline together again; raise `BadBaseline` if manifest and arrays do not fit."""
        try:
            segments = tuple(_segment(clip, number, arrays) for number, clip in enumerate(manifest.clips))
        except KeyError as error:
            raise BadBaseline(f"baseline {manifest.name!r} lacks array {error}: rebuild it") from error
        wide = len(quality_names(manifest.sensor_names))
        for segment in segments:
            shapes = segment.embedding.shape[1:], segment.quality.shape[1:], segment.reference_median.shape
            if shapes != ((manifest.embedding_size,), (wide,), (len(manifest.sensor_names),)):
                raise BadBaseline(f"baseline {manifest.name!r} has arrays of another shape than it says: rebuild it")
        if not segments:
            raise BadBaseline(f"baseline {manifest.name!r} covers no clip: rebuild it")
        return cls(
            manifest.name,
            manifest.feature_spec,
            manifest.rule,
            manifest.sensor_names,
            manifest.minimum_effects,
            segments,
            manifest.null_false_alarms,
            manifest.libraries,
            manifest.created_at,
            arrays.get("replay"),
        )


def _segment(clip: ClipSummary, number: int, arrays: Arrays) -> Segment:
    def array(name: str) -> npt.NDArray[Any]:
        return arrays[f"{number}.{name}"]

    return Segment(
        summary=clip,
        embedding=array("embedding"),
        embedding_spread=array("embedding_spread"),
        quality=array("quality"),
        quality_spread=array("quality_spread"),
        reference_median=array("reference_median"),
        embedding_bounds=Bounds(array("embedding_bound"), array("embedding_size")),
        quality_bounds=Bounds(array("quality_bound"), array("quality_size")),
    )


def _require_footage(clip: str, block: FeatureBlock, window: int) -> None:
    enough = window
    while len(null_starts(enough, window)) < _FEWEST_NULL_WINDOWS:
        enough += 1
    if len(block) < enough:
        seconds = float(block.times[-1] - block.times[0]) / max(len(block) - 1, 1) * enough if len(block) > 1 else 0.0
        needed = f"{enough} frames" + (f" (about {seconds:.0f} s at this sampling)" if seconds else "")
        raise BaselineTooShort(
            f"{clip} has {len(block)} sampled frames; a baseline with windows of {window} frames needs {needed}: "
            "give longer footage, or set SENTINEL_WINDOW_FRAMES lower or SENTINEL_SAMPLE_FPS higher"
        )
    if len(np.unique(block.quality, axis=0)) < _FEWEST_DISTINCT:
        raise BadBaseline(f"{clip} shows the same picture all the time: golden footage must come from a live camera")
    if mixed := two_scenes(block, window):
        how, frame = mixed
        if how is Mixture.ALTERNATING:
            raise BadBaseline(
                f"{clip} has frames of two scenes by turns: give the footage of each camera as a clip of its own"
            )
        raise BadBaseline(
            f"{clip} shows another scene from {block.times[frame]:.1f} s on: of two cameras, build a baseline "
            "each; of one camera, cut the clip there and give both parts, each becomes a segment of its own"
        )


def _own_failures(baseline: Baseline, clips: Sequence[tuple[str, FeatureBlock]]) -> float:
    """The share of the clips' own windows that fail: a lower bound on the false-alarm rate, not the rate itself."""
    from common.contracts.verdicts import Status
    from common.drift.judge import judge

    window, failed, count = baseline.rule.frames, 0, 0
    for _, block in clips:
        for start in range(0, len(block) - window + 1, window):
            count += 1
            failed += judge(baseline, block[start : start + window]).status is Status.FAIL
    return failed / max(count, 1)
