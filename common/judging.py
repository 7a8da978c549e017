"""From features to verdicts: the step that `sentinel check` and the reducer share."""

from __future__ import annotations

from dataclasses import dataclass

from common.champions.baselines import StoredBaseline
from common.contracts import FeatureBlock, Verdict
from common.drift.judge import judge
from common.drift.windows import WindowState, advance


@dataclass(frozen=True)
class Thresholds:
    """When a window fails: score above `score` and p below `p_value`."""

    score: float
    p_value: float


@dataclass(frozen=True)
class JudgedWindow:
    """A verdict with the features that it was made from."""

    verdict: Verdict
    features: FeatureBlock


def judge_block(
    state: WindowState,
    block: FeatureBlock,
    *,
    stored: StoredBaseline,
    thresholds: Thresholds,
    stream: str,
    batch_frames: int,
    opens_batch: bool,
    closes_batch: bool,
) -> tuple[WindowState, list[JudgedWindow]]:
    """Let the next frames of `stream` into its window, and judge each window that falls due.

    Parameters
    ----------
    block : features of consecutive frames of one batch
    batch_frames : frames that the whole batch promises; one that fills a window is judged by itself
    opens_batch, closes_batch : whether `block` starts or ends its batch
    """
    rule = stored.baseline.rule
    state, windows = advance(
        state, rule, block, own_window=batch_frames >= rule.frames, starts=opens_batch, ends=closes_batch
    )
    judged = []
    for window in windows:
        judgement = judge(stored.baseline, window.features, threshold=thresholds.score, p_value=thresholds.p_value)
        verdict = Verdict.place(
            judgement,
            window.features,
            stream=stream,
            baseline=stored.baseline.name,
            baseline_id=stored.id,
            stop=window.stop,
        )
        judged.append(JudgedWindow(verdict, window.features))
    return state, judged
