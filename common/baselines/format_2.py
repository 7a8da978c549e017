"""Baselines of versions 0.2 and 0.3, which knew the two groups of video alone: verified by the digest of then.

Format 2, of 0.2, kept golden replay among the arrays of the judge. Format 3, of 0.3, keeps it beside them.
"""

from __future__ import annotations

from pydantic import Field

from common.baselines import two_groups
from common.contracts.batches import FeatureSpec
from common.contracts.ids import Message
from common.drift.manifest import BaselineManifest, ClipSummary
from common.drift.windows import WindowRule
from common.features import TimeSource

FORMAT = 2
FORMAT_OF_0_3 = 3


class FeatureSpec2(Message):
    """The feature spec, before it named its modality."""

    backbone: str
    weights: str
    precision: str
    decode_pipeline: str
    sensors: str
    sample_fps: float | None = Field(gt=0)

    def feature_spec(self) -> FeatureSpec:
        return FeatureSpec(**self.model_dump())


class Manifest(Message):
    """The manifest. The digest is computed over its JSON, so fields and their order must not change."""

    name: str
    feature_spec: FeatureSpec2
    rule: WindowRule
    sensor_names: tuple[str, ...]
    minimum_effects: tuple[float, ...]
    embedding_size: int = Field(ge=1)
    clips: tuple[Clip, ...]
    null_false_alarms: float
    false_alarm_rate_held: float
    libraries: dict[str, str]
    created_at: float

    def manifest(self) -> BaselineManifest:
        """Return the manifest as this version has it."""
        clips = tuple(ClipSummary.model_validate(clip.model_dump()) for clip in self.clips)
        return BaselineManifest(
            name=self.name,
            feature_spec=self.feature_spec.feature_spec(),
            rule=self.rule,
            groups=two_groups.groups(self.embedding_size, self.sensor_names, self.minimum_effects),
            clips=clips,
            null_false_alarms=self.null_false_alarms,
            false_alarm_rate_held=self.false_alarm_rate_held,
            libraries=self.libraries,
            created_at=self.created_at,
        )


class Clip(Message):
    """One clip of the manifest."""

    name: str
    frames: int
    seconds: float
    null_windows: int
    effective_windows: float
    golden: bool
    taken_from: float | None = None
    taken_to: float | None = None
    time_source: TimeSource = TimeSource.UNKNOWN


class File(Message):
    """The content of `baseline.json`."""

    format: int
    digest: str
    manifest: Manifest
    replay: str | None = None
