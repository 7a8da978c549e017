"""Judges the footage of all clips and counts the outcomes: false alarms, power, causes and delays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.footage import Footage
from benchmarks.shares import AlarmCount, Share
from benchmarks.workbench import fit, judged
from common.contracts.verdicts import Judgement, Status
from common.drift.baseline import Baseline
from common.drift.confirmation import DAY_SECONDS, AlarmRule
from common.errors import SentinelError
from common.features import FeatureBlock
from common.settings import Settings

_SIMULATED_DAYS = 3.0
_MEAN_BLOCK = 4.0  # windows' worth of frames, mean length of the blocks that are resampled


@dataclass
class Result:
    """All outcomes of the evaluation.

    Attributes
    ----------
    clean_fail : by clip, clean windows of the second half that FAIL
    clean_significant : clean windows with a significant p-value
    clean_scores : drift scores of the clean windows
    whole : by clip, the verdict on its second half as a whole
    held_out, held_out_by_clip : clean windows of other splits that FAIL, see `other_splits`
    power : by fault and severity, clips whose first faulty window FAILs
    cause : by fault and severity, FAILs that name the right cause
    named : by fault and severity, how often each cause was named
    missed : faulty windows that PASS, in words
    delay : by fault and severity, frames until the first FAIL of each clip
    alarms_per_day, alarms_per_day_held_out : by clip, simulated false alarms per camera-day
    alarms : confirmed alarms on the clean footage itself, of the second halves and of the other splits
    clean_seconds : of that footage
    content : windows of other clips that FAIL
    left_out : clips without a baseline, in words
    """

    clean_fail: dict[str, Share] = field(default_factory=dict)
    clean_significant: Share = field(default_factory=Share)
    clean_scores: list[float] = field(default_factory=list)
    whole: dict[str, str] = field(default_factory=dict)
    held_out: Share = field(default_factory=Share)
    held_out_by_clip: dict[str, Share] = field(default_factory=dict)
    power: dict[str, dict[int, Share]] = field(default_factory=dict)
    cause: dict[str, dict[int, Share]] = field(default_factory=dict)
    named: dict[str, dict[str, int]] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    delay: dict[str, dict[int, list[float]]] = field(default_factory=dict)
    alarms_per_day: dict[str, float] = field(default_factory=dict)
    alarms_per_day_held_out: dict[str, float] = field(default_factory=dict)
    alarms: int = 0
    clean_seconds: float = 0.0
    content: Share = field(default_factory=Share)
    left_out: list[str] = field(default_factory=list)


def evaluate(footage: Sequence[Footage], settings: Settings) -> Result:
    """Judge the second half of each clip, clean and with each fault, by a baseline of its first half."""
    result = Result()
    for clip in footage:
        try:
            baseline = fit(clip.name, [(clip.name, clip.golden)], clip.rule)
        except SentinelError as error:
            result.left_out.append(f"{clip.name}: {error}")
            continue
        _evaluate_clean(result, clip, baseline, settings)
        _evaluate_faults(result, clip, baseline, settings)
        for other in footage:
            if other is not clip and len(other.clean) >= clip.rule.frames:
                verdict = judged(baseline, other.clean[: clip.rule.frames], settings)
                result.content.add(verdict.status is Status.FAIL)
        _evaluate_other_splits(result, clip, baseline, settings)
    return result


def _evaluate_clean(result: Result, clip: Footage, baseline: Baseline, settings: Settings) -> None:
    share = result.clean_fail[clip.name] = Share()
    verdicts = [judged(baseline, window, settings) for window in windows(clip.clean, clip)]
    for verdict in verdicts:
        share.add(verdict.status is Status.FAIL)
        result.clean_significant.add(verdict.p_value < settings.p_value)
        result.clean_scores.append(verdict.drift_score)
    _count_alarms(result, verdicts, clip, baseline, settings)
    result.alarms_per_day[clip.name] = alarms_per_day([verdicts], clip, baseline, settings)
    result.whole[clip.name] = "FAIL" if share.hits else "PASS"


def _evaluate_faults(result: Result, clip: Footage, baseline: Baseline, settings: Settings) -> None:
    for (fault, severity), block in clip.faulty.items():
        verdict = judged(baseline, block, settings)
        failed = verdict.status is Status.FAIL
        result.power.setdefault(fault, {}).setdefault(severity, Share()).add(failed)
        if failed:
            right = fault.cause in {None, verdict.cause}
            result.cause.setdefault(fault, {}).setdefault(severity, Share()).add(right)
            names = result.named.setdefault(f"{fault}-{severity}", {})
            names[str(verdict.cause)] = names.get(str(verdict.cause), 0) + 1
        else:
            lead = max(verdict.feature_groups, key=lambda group: group.drift_score)
            result.missed.append(
                f"{clip.name} {fault} {severity}: {lead.group} score {lead.drift_score:.2f} p {lead.p_value:.3g}"
            )
        result.delay.setdefault(fault, {}).setdefault(severity, []).append(delay(clip, baseline, block, settings))


def _evaluate_other_splits(result: Result, clip: Footage, baseline: Baseline, settings: Settings) -> None:
    share = result.held_out_by_clip[clip.name] = Share()
    held_out: list[list[Judgement]] = []
    for golden, production in other_splits(clip):
        try:
            other = fit(clip.name, golden, clip.rule)
        except SentinelError:
            continue
        held_out.append([judged(other, window, settings) for window in windows(production, clip)])
        _count_alarms(result, held_out[-1], clip, other, settings)
        for verdict in held_out[-1]:
            share.add(verdict.status is Status.FAIL)
            result.held_out.add(verdict.status is Status.FAIL)
    result.alarms_per_day_held_out[clip.name] = alarms_per_day(held_out, clip, baseline, settings)


def _count_alarms(
    result: Result, verdicts: Sequence[Judgement], clip: Footage, baseline: Baseline, settings: Settings
) -> None:
    size, stride = clip.rule.frames, clip.rule.stride
    rule = AlarmRule.of(settings.false_alarms_per_day, size, baseline.frames_per_second)
    alarms = AlarmCount(rule)
    for start, verdict in zip(range(0, len(verdicts) * stride, stride), verdicts, strict=True):
        alarms.add(verdict, range(start, start + size))
    result.alarms += alarms.alarms
    result.clean_seconds += (size + stride * (len(verdicts) - 1)) / clip.fps if verdicts else 0.0


def windows(block: FeatureBlock, clip: Footage) -> Iterator[FeatureBlock]:
    """Yield the windows of `block` that would be judged in operation."""
    for start in range(0, len(block) - clip.rule.frames + 1, clip.rule.stride):
        yield block[start : start + clip.rule.frames]


def alarms_per_day(
    footage: Sequence[Sequence[Judgement]], clip: Footage, baseline: Baseline, settings: Settings
) -> float:
    """Return the confirmed alarms per camera-day on `_SIMULATED_DAYS` days of clean verdicts, made by resampling.

    Blocks of consecutive verdicts are drawn with replacement. Their lengths are geometrically distributed with a mean
    of `_MEAN_BLOCK` windows, which keeps the correlation between neighbouring verdicts (stationary bootstrap, Politis
    and Romano, 1994).

    Parameters
    ----------
    footage : verdicts of each piece of clean footage, in order

    Returns
    -------
    NaN without any verdict
    """
    rng = np.random.default_rng(0)
    size, stride = clip.rule.frames, clip.rule.stride
    rule = AlarmRule.of(settings.false_alarms_per_day, size, baseline.frames_per_second)
    pieces = [piece for piece in footage if piece]
    if not pieces:
        return float("nan")
    if not any(verdict.status is Status.FAIL for piece in pieces for verdict in piece):
        return 0.0
    left = int(_SIMULATED_DAYS * DAY_SECONDS * baseline.frames_per_second / stride)
    alarms, stop = AlarmCount(rule), size
    p_continue = 1.0 - stride / (_MEAN_BLOCK * size)
    while left > 0:
        piece = pieces[int(rng.integers(len(pieces)))]
        at = int(rng.integers(len(piece)))
        for verdict in piece[at : at + int(rng.geometric(1.0 - p_continue))]:
            stop += stride
            left -= 1
            alarms.add(verdict, range(stop - size, stop))
    return alarms.alarms / _SIMULATED_DAYS


def other_splits(clip: Footage) -> Iterator[tuple[list[tuple[str, FeatureBlock]], FeatureBlock]]:
    """Yield golden clips and production footage of splits on which nothing was tuned.

    They are the two halves swapped, and the first and the last third held out.
    """
    yield [("second", clip.clean)], clip.golden
    whole = FeatureBlock.concatenate([clip.golden, clip.clean])
    third = len(whole) // 3
    yield [("late", whole[third:])], whole[:third]
    yield [("early", whole[: 2 * third])], whole[2 * third :]


def delay(clip: Footage, baseline: Baseline, faulty: FeatureBlock, settings: Settings) -> float:
    """Return the number of faulty frames before the first FAIL, or infinity; one verdict per stride."""
    size, step = clip.rule.frames, max(1, clip.rule.stride)
    before = clip.golden[-size:]
    for entered in [*range(step, size, step), size]:
        window = FeatureBlock.concatenate([before[entered:], faulty[:entered]])
        if judged(baseline, window[:size], settings).status is Status.FAIL:
            return float(entered)
    return float("inf")
