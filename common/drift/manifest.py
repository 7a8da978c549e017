"""The manifest of a baseline: all of it but the arrays."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, model_serializer

from common.contracts.batches import FeatureSpec
from common.contracts.coverage import Coverage
from common.contracts.feature_groups import FeatureGroup, check_groups
from common.contracts.ids import Message, without_empty
from common.drift.windows import WindowRule
from common.features import TimeSource


class ClipSummary(Message):
    """One clip that a baseline covers; its features form a segment that windows are compared with."""

    name: str
    frames: int = Field(ge=1)
    seconds: float = Field(ge=0, description="of footage, from the first to the last sampled frame")
    null_windows: int = Field(
        ge=0, description="windows of the clip that were compared with the rest of it; 0: its bounds are borrowed"
    )
    effective_windows: float = Field(ge=0, description="length of the clip in windows that do not overlap")
    golden: bool = Field(description="False for footage that a promotion of version 0.2 or before accepted")
    taken_from: float | None = Field(
        None, description="capture time of its first frame, seconds since the epoch; None: unknown"
    )
    taken_to: float | None = Field(None, description="capture time of its last frame")
    time_source: TimeSource = Field(TimeSource.UNKNOWN, description="how the capture times are known")


class BaselineManifest(Message):
    """How a baseline was made, which clips it covers, and which false-alarm rate it supports."""

    name: str
    feature_spec: FeatureSpec
    rule: WindowRule
    groups: Annotated[tuple[FeatureGroup, ...], AfterValidator(check_groups)] = Field(
        description="the groups of features that it compares, in the order in which verdicts name them"
    )
    clean_ratios: tuple[float, ...] = Field(
        (),
        description="largest distance of clean windows of other cameras, in units of bounds made without them, in "
        "rising order; a window's p-value is its rank among them. Empty: it is that of the KS test",
    )
    clips: tuple[ClipSummary, ...] = Field(description="none of a baseline that was learned over days")
    coverage: Coverage | None = Field(None, description="what was learned over days; None: it was fitted to clips")
    null_false_alarms: float = Field(
        ge=0, le=1, description="share of the golden footage's own windows that the baseline fails"
    )
    false_alarm_rate_held: float = Field(
        gt=0, le=1, description="smallest false-alarm rate per window that this much golden footage can support"
    )
    libraries: dict[str, str] = Field(
        description="versions of Sentinel (from 0.4 on) and of the libraries that it was made with"
    )
    created_at: float = Field(description="seconds since the epoch")

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what a baseline without clean ratios does not have, so that its digest stays."""
        return without_empty(handler(self), ("clean_ratios",))
