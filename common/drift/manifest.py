"""How a baseline was made: everything about it but the arrays."""

from __future__ import annotations

from pydantic import Field

from common.contracts.batches import FeatureSpec
from common.contracts.ids import Message
from common.drift.windows import WindowRule
from common.features import TimeSource


class ClipSummary(Message):
    """One clip that a baseline covers: a segment that windows are compared with."""

    name: str
    frames: int = Field(ge=1)
    seconds: float = Field(ge=0, description="of footage, from the first to the last sampled frame")
    null_windows: int = Field(ge=0, description="windows of the clip judged against the rest of it; 0: bounds borrowed")
    effective_windows: float = Field(ge=0, description="independent windows that the clip amounts to")
    golden: bool = Field(description="False: footage accepted by a promotion")
    taken_from: float | None = Field(
        None, description="capture time of its first frame, seconds since the epoch; None: unknown"
    )
    taken_to: float | None = Field(None, description="capture time of its last frame")
    time_source: TimeSource = Field(TimeSource.UNKNOWN, description="how the capture times are known")


class BaselineManifest(Message):
    """Everything that says how a baseline was made and what it can do."""

    name: str
    feature_spec: FeatureSpec
    rule: WindowRule
    sensor_names: tuple[str, ...]
    minimum_effects: tuple[float, ...]
    embedding_size: int = Field(ge=1)
    clips: tuple[ClipSummary, ...]
    null_false_alarms: float = Field(
        ge=0, le=1, description="share of the golden footage's own windows that the finished judge fails"
    )
    false_alarm_rate_held: float = Field(
        gt=0, le=1, description="of clean windows, the smallest share that this much footage can vouch for"
    )
    libraries: dict[str, str] = Field(description="versions that it was made with")
    created_at: float = Field(description="seconds since the epoch")
