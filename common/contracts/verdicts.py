"""Verdicts on windows of frames, with their reasons."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from pydantic import Field

from common.contracts.ids import Message, StreamName, content_id
from common.contracts.model_scores import ModelScore
from common.contracts.stored import Fields, StoredMessage
from common.features import FeatureBlock, TimeSource


class Status(StrEnum):
    PASS = "PASS"
    FAIL = "FAIL"


class Cause(StrEnum):
    """The most likely reason why a window failed, derived from its features; `OFFLINE` is why there is no window."""

    NOISE = "noise"
    BLUR = "blur"
    LOW_LIGHT = "low_light"
    OVER_EXPOSURE = "over_exposure"
    COMPRESSION = "compression"
    COLOUR_CAST = "colour_cast"
    LOW_CONTRAST = "low_contrast"
    FROZEN = "frozen"
    BLACK = "black"
    COVERED = "covered"
    CAMERA_MOVED = "camera_moved"
    PACKET_LOSS = "packet_loss"
    """Grey or green blocks, or pixels drawn down into gaps."""
    PIXELATION = "pixelation"
    """Whole columns and rows that repeat the one before."""
    FLICKER = "flicker"
    """Light that changes from frame to frame."""
    BANDING = "banding"
    """The same, by rows: bands that roll through the picture."""
    HUNTING_EXPOSURE = "hunting_exposure"
    """Light that swings back and forth within seconds."""
    MISSING_FRAMES = "missing_frames"
    """Frames are missing, or come at less than half of the golden rate or more than twice of it."""
    ENCODER = "encoder"
    """Bit rate or key frames are far from golden's, and the picture is not."""
    NEW_CONTENT = "new_content"
    """The quality readings are normal; the content differs from that of the baseline."""
    MOTION_BLUR = "motion_blur"
    """Blur along a line: the camera shakes, or exposes for too long."""
    FOG = "fog"
    """Contrast is lost to a light grey, most of all in what is far away."""
    SOILED = "soiled"
    """Drops, dirt or something else hide parts of what stands still."""
    MODEL_DECAY = "model_decay"
    """The footage is as golden footage, and the model does worse on it than on golden footage."""
    UNKNOWN = "unknown"
    OFFLINE = "offline"
    """No footage comes: no verdict has this cause, only the incident of a stream that is silent."""


class FeatureShift(Message):
    """A feature that differs from the baseline: its shift, and its value in the baseline and in the window."""

    feature: str
    shift: float = Field(description="signed, in the baseline's robust standard deviations")
    baseline_value: float
    window_value: float


class GroupScore(Message):
    """Result of one feature group for a window."""

    group: str
    drift_score: float = Field(ge=0, le=1)
    p_value: float = Field(ge=0, le=1, description="of the KS test, corrected for the number of columns and groups")
    distance: float = Field(ge=0, description="Wasserstein distance in units of the baseline's spread")
    bound: float = Field(ge=0, description="the distance that the baseline's own variation explains, in the same units")


class WorstFrame(Message):
    """A frame of the window that lies farthest from the baseline."""

    source: str
    time: float = Field(description="seconds from the start of the source")
    distance: float


class FrameTime(Message):
    """A frame, identified by its source and its time in that source."""

    source: str
    time: float = Field(description="seconds from the start of the source")


class ConditionMatch(Message):
    """A window that fails the golden baseline, but is like a condition that the champion is proved on."""

    id: str = Field(description="of the condition")
    cause: Cause = Field(description="of the condition")
    golden_score: float = Field(ge=0, le=1, description="drift score of the window against the golden baseline")
    golden_p_value: float = Field(ge=0, le=1)
    golden_cause: Cause = Field(description="cause of the window's departure from the golden baseline")


class ResolutionChange(Message):
    """A window whose pictures have another size than golden's. What depends on the number of pixels is not judged."""

    before: tuple[int, int] = Field(description="width and height of the golden pictures, pixels")
    now: tuple[int, int] = Field(description="width and height of the window's latest picture of another size")

    @property
    def text(self) -> str:
        """What changed, like `1280x720 to 640x360`."""
        return " to ".join(f"{width}x{height}" for width, height in (self.before, self.now))


class Spacing(Message):
    """A window some of whose samples lie farther apart than golden's: how they follow each other is not judged, only
    whether the picture stands still, which shows at any interval."""

    golden: float = Field(description="seconds between golden samples, the median")
    window: float = Field(description="seconds between those of its samples that lie farther apart, the median")
    share: float = Field(ge=0, le=1, description="of its samples, those that lie farther from the one before")
    score: float = Field(
        ge=0,
        le=1,
        description="the drift score that what is not judged has against wider bounds: a reason to look closer",
    )


class Judgement(Message):
    """Result of judging one window of features, without its position in a stream."""

    status: Status
    drift_score: float = Field(ge=0, le=1)
    p_value: float = Field(
        ge=0,
        le=1,
        description="rank among clean windows of other cameras, (1 + number of those as far away) / (n + 1); of a "
        "baseline that knows none, of the KS test",
    )
    gross: bool = Field(
        False,
        description="whether the window departs farther from golden than clean windows of other cameras ever did",
    )
    cause: Cause | None = Field(description="None on PASS")
    began: FrameTime | None = Field(
        None, description="first frame of the change; the first frame of the window if it began earlier; None on PASS"
    )
    segment: str = Field(description="the segment of the baseline that the window resembles most")
    provisional: bool = Field(
        False,
        description="whether the camera is not known at this hour, so that only what light hardly moves, what "
        "needs no history, and steps that last are judged",
    )
    condition: ConditionMatch | None = Field(
        None, description="the condition that makes the window PASS although it fails the golden baseline; else None"
    )
    resolution: ResolutionChange | None = Field(
        None, description="that the pictures have another size than golden's: then what depends on the number of "
        "pixels is not judged; None: they have the same"
    )  # fmt: skip
    spacing: Spacing | None = Field(
        None, description="that its samples lie farther apart than golden's; None: they do not"
    )
    model: ModelScore | None = Field(
        None, description="how the champion does on a sample of the window, beside golden footage; None: not known"
    )
    feature_groups: tuple[GroupScore, ...]
    leading_features: tuple[FeatureShift, ...]
    worst_frames: tuple[WorstFrame, ...]


class Verdict(Judgement, StoredMessage):
    """A judgement with its context: the stream, the frames, and the baseline that they were compared with."""

    id: str
    stream: StreamName
    baseline: str = Field(description="name of the baseline")
    baseline_id: str = Field(description="digest of the baseline's content")
    start: int = Field(ge=0, description="position of the window's first frame in the stream, in sampled frames")
    stop: int = Field(gt=0, description="position after the window's last frame")
    start_time: float = Field(description="seconds from the start of the first frame's source")
    stop_time: float = Field(description="seconds from the start of the last frame's source")
    taken_from: float | None = Field(
        None, description="capture time of the window's first frame, seconds since the epoch; None: unknown"
    )
    taken_to: float | None = Field(None, description="capture time of its last frame")
    time_source: TimeSource = Field(
        TimeSource.UNKNOWN, description="how the least reliable capture time of the window is known"
    )
    sources: tuple[str, ...]
    failing_since: int | None = Field(
        None, description="position of the first frame of the first FAIL since the last PASS; None on PASS"
    )
    confirmed: bool = Field(
        False, description="whether such a run of FAILs comes by chance at most SENTINEL_FALSE_ALARMS_PER_DAY times"
    )

    @classmethod
    def from_format_1(cls, fields: Fields) -> Fields:
        renamed = {name: value for name, value in fields.items() if name not in {"regime", "views"}}
        groups = [
            {"group": row["view"], **{name: value for name, value in row.items() if name != "view"}}
            for row in fields["views"]
        ]
        return {**renamed, "segment": fields["regime"], "feature_groups": groups}

    @classmethod
    def from_format_2(cls, fields: Fields) -> Fields:
        """What a cause calls for is the policy's matter since, not the verdict's."""
        return {name: value for name, value in fields.items() if name != "remedy"}

    @classmethod
    def place(
        cls,
        judgement: Judgement,
        window: FeatureBlock,
        *,
        stream: str,
        baseline: str,
        baseline_id: str,
        stop: int,
        failing_since: int | None,
        confirmed: bool,
    ) -> Verdict:
        """Return the verdict for `judgement` of `window`; its id is derived from stream, baseline, start and stop."""
        start = stop - len(window)
        return cls(
            **dict(judgement),
            id=content_id(stream, baseline_id, start, stop),
            stream=stream,
            baseline=baseline,
            baseline_id=baseline_id,
            start=start,
            stop=stop,
            start_time=float(window.times[0]),
            stop_time=float(window.times[-1]),
            taken_from=window.capture_time(0),
            taken_to=window.capture_time(-1),
            time_source=window.least_reliable_time_source,
            sources=window.sources,
            failing_since=failing_since,
            confirmed=confirmed,
        )


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the FAIL with the highest drift score; if there is none, the PASS with the highest."""
    return max(verdicts, key=lambda v: (v.status is Status.FAIL, v.drift_score, -v.p_value))
