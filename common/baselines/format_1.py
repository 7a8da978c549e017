"""Baselines of version 0.1: verified by the digest that 0.1 computed, and converted to the names of this version."""

from __future__ import annotations

from pydantic import Field

from common.baselines import two_groups
from common.contracts.batches import FeatureSpec
from common.contracts.ids import Message
from common.drift.manifest import BaselineManifest, ClipSummary
from common.drift.segment_arrays import Arrays
from common.drift.windows import WindowRule

FORMAT = 1
_RENAMED_ARRAYS = {"usual": "reference_median"}


class FeatureSpec1(Message):
    """The feature spec, which 0.1 called `recipe`."""

    backbone: str
    weights: str
    precision: str
    route: str
    sensors: str
    sample_fps: float | None = Field(gt=0)

    def feature_spec(self) -> FeatureSpec:
        return FeatureSpec(
            backbone=self.backbone,
            weights=self.weights,
            precision=self.precision,
            decode_pipeline=self.route,
            sensors=self.sensors,
            sample_fps=self.sample_fps,
        )


class Manifest(Message):
    """The manifest. The digest is computed over its JSON, so fields and their order must not change."""

    name: str
    recipe: FeatureSpec1
    rule: WindowRule
    sensor_names: tuple[str, ...]
    sensor_floors: tuple[float, ...]
    embedding_size: int = Field(ge=1)
    clips: tuple[Clip, ...]
    null_false_alarms: float
    false_alarm_rate_held: float
    libraries: dict[str, str]
    created_at: float

    def manifest(self) -> BaselineManifest:
        """Return the manifest as this version has it."""
        return BaselineManifest(
            name=self.name,
            feature_spec=self.recipe.feature_spec(),
            rule=self.rule,
            groups=two_groups.groups(self.embedding_size, self.sensor_names, self.sensor_floors),
            clips=tuple(ClipSummary.model_validate(clip.model_dump()) for clip in self.clips),
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


class File(Message):
    """The content of `baseline.json`."""

    format: int
    digest: str
    manifest: Manifest


def renamed(arrays: Arrays) -> Arrays:
    """Return the arrays under the names of this version."""
    found: Arrays = {}
    for name, array in arrays.items():
        number, dot, column = name.partition(".")
        found[f"{number}{dot}{_RENAMED_ARRAYS.get(column, column)}"] = array
    return two_groups.renamed(found)
