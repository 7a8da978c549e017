"""From features to verdicts: the step that `sentinel check` and the reducer share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from common.baselines.storage import StoredBaseline
from common.contracts.batches import FeatureSpec
from common.contracts.model_scores import GoldenScores
from common.contracts.verdicts import Cause, Judgement, Status, Verdict
from common.drift.conditions import Condition
from common.drift.confirmation import AlarmRule, update
from common.drift.confirmation import Window as DetectorWindow
from common.drift.decay import with_model
from common.drift.frame_buffer import FrameBuffer
from common.drift.judge import judge
from common.drift.windows import WindowRule, WindowState, advance
from common.features import FeatureBlock
from common.modalities.registry import load_modality
from common.settings import Settings

NEED_NO_HISTORY = frozenset({Cause.BLACK, Cause.FROZEN})
"""Causes that one window confirms if it is gross: no live source looks like that, whatever it looked like before."""


@dataclass(frozen=True)
class Thresholds:
    """A window fails if its drift score is above `score` and its p-value below `p_value`.

    `false_alarms_per_day` bounds the confirmed false alarms per camera-day.
    """

    score: float
    p_value: float
    false_alarms_per_day: float

    @classmethod
    def of(cls, settings: Settings) -> Thresholds:
        return cls(settings.drift_threshold, settings.p_value, settings.false_alarms_per_day)


@dataclass(frozen=True)
class JudgedWindow:
    """A verdict with the features of its window."""

    verdict: Verdict
    features: FeatureBlock


@dataclass(frozen=True)
class BatchPlace:
    """Where a block of frames stands in its batch.

    Attributes
    ----------
    frames : expected in the whole batch; a batch that fills a window is judged without earlier frames
    opens, closes : whether the block starts or ends its batch
    ends_sparse : whether it ends a batch that is sampled sparsely, see `Chunk`
    """

    frames: int
    opens: bool
    closes: bool
    ends_sparse: bool = False


def complete_windows(
    state: WindowState,
    buffer: FrameBuffer,
    block: FeatureBlock,
    *,
    spec: FeatureSpec,
    rule: WindowRule,
    place: BatchPlace,
) -> tuple[WindowState, Sequence[range]]:
    """Append the next frames of a stream; return the new state, and the positions of each window that is complete.

    The window restarts if the feature spec or the rule changed: the frames that another window needs are not kept.
    """
    state = state.of_feature_spec(spec.digest(rule.to_json()))
    buffer.append(block)
    return advance(
        state,
        rule,
        len(block),
        own_window=place.frames >= rule.frames,
        starts=place.opens,
        ends=place.closes,
        ends_sparse=place.ends_sparse,
    )


def judge_block(
    state: WindowState,
    buffer: FrameBuffer,
    block: FeatureBlock,
    *,
    stored: StoredBaseline,
    thresholds: Thresholds,
    stream: str,
    place: BatchPlace,
    conditions: Sequence[Condition] = (),
    golden_scores: GoldenScores | None = None,
    now: float = 0.0,
) -> tuple[WindowState, list[JudgedWindow]]:
    """Append the next frames of `stream` to its window, and judge each window that is complete.

    A FAIL is confirmed by the FAILs that it follows, and a window that matches a condition by those windows that fail
    the golden baseline.

    Parameters
    ----------
    state : where the stream's window stands
    buffer : the stream's latest frames; `block` is appended to it
    block : features of consecutive frames of one batch
    stored : the baseline that the stream is judged by
    place : of `block` in its batch
    conditions : of this stream, that its model's champion is proved on
    golden_scores : of that champion, which the windows' live scores are held against
    now : seconds since the epoch, at which a condition expires for frames without a capture time

    Returns
    -------
    The new state of the window, and the windows that were judged, in order.
    """
    rule, spec = stored.baseline.rule, stored.baseline.feature_spec
    alarm_rule = AlarmRule.of(thresholds.false_alarms_per_day, rule.frames, stored.baseline.frames_per_second)
    diagnose = load_modality(spec.modality).diagnose
    state, windows = complete_windows(state, buffer, block, spec=spec, rule=rule, place=place)
    judged = []
    for window in windows:
        features = buffer.slice(window)
        taken_at = features.capture_time(-1)
        live = [c for c in conditions if c.record.is_live(now if taken_at is None else taken_at)]
        judgement = judge(
            stored.baseline,
            features,
            threshold=thresholds.score,
            p_value=thresholds.p_value,
            conditions=live,
            diagnose=diagnose,
        )
        judgement = with_model(
            judgement, features, golden_scores, threshold=thresholds.score, p_value=thresholds.p_value
        )
        state = with_evidence(state, judgement, window, alarm_rule)
        detector = state.departures if judgement.condition else state.fails
        verdict = Verdict.place(
            judgement,
            features,
            stream=stream,
            baseline=stored.baseline.name,
            baseline_id=stored.id,
            stop=window.stop,
            failing_since=detector.since,
            confirmed=detector.confirmed,
        )
        judged.append(JudgedWindow(verdict, features))
    return state, judged


def with_evidence(state: WindowState, judgement: Judgement, window: range, rule: AlarmRule) -> WindowState:
    """Return the state after a judgement of the frames at `window`, which is evidence for or against an alarm."""
    failed, match = judgement.status is Status.FAIL, judgement.condition
    # Of an hour that is not known, only what is gross, or needs no history, confirms: FAILs add up to nothing there.
    p_value = 1.0 if judgement.provisional else judgement.p_value
    seen = DetectorWindow(
        window.start,
        window.stop,
        p_value,
        failed,
        gross=failed and judgement.gross,
        needs_no_history=failed and judgement.gross and judgement.cause in NEED_NO_HISTORY,
    )
    departed = replace(seen, p_value=match.golden_p_value, failed=True, gross=judgement.gross) if match else seen
    return replace(state, fails=update(state.fails, rule, seen), departures=update(state.departures, rule, departed))
