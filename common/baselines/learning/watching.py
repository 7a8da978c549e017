"""Windows of a stream that learns and has no baseline yet: only what needs no history is looked at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from common.baselines.golden import Golden
from common.contracts.feature_groups import FeatureGroup
from common.contracts.shifts import Shifts
from common.contracts.verdicts import Cause, FrameTime, Judgement, Status, Verdict, WorstFrame
from common.drift.ambient import ambient_group
from common.drift.bursts import Burst
from common.drift.confirmation import AlarmRule, update
from common.drift.confirmation import Window as DetectorWindow
from common.drift.feature_groups import compared_names
from common.drift.frame_buffer import FrameBuffer
from common.drift.provisional import NO_HISTORY_P_VALUE
from common.drift.windows import WindowState
from common.errors import BadBaseline
from common.features import FeatureBlock
from common.judging import BatchPlace, JudgedWindow, complete_windows
from common.modalities.modality import Modality
from common.modalities.registry import load_modality

# Two windows without a frame in common ask: a stream that fades in from black asks nobody. No evidence is gathered.
_BY_TWO_WINDOWS = AlarmRule(bound=math.inf, block_frames=2**31)


def watch_block(
    state: WindowState, buffer: FrameBuffer, block: FeatureBlock, *, golden: Golden, stream: str, place: BatchPlace
) -> tuple[WindowState, list[JudgedWindow], list[FeatureBlock]]:
    """Append the next frames of `stream`, which has no baseline yet, and look at each window that is complete.

    A window that shows nothing, or stands still, FAILs. A person is asked once two of them in a row have no frame in
    common: was the camera broken before it was known?

    Returns
    -------
    The new state of the window, the FAILs in order, and the windows with which nothing is wrong.
    """
    rule, spec = golden.rule, golden.feature_spec
    modality = load_modality(spec.modality)
    state, windows = complete_windows(state, buffer, block, spec=spec, rule=rule, place=place)
    failed: list[JudgedWindow] = []
    clear: list[FeatureBlock] = []
    for window in windows:
        features = buffer.slice(window)
        judgement = _look(features, golden.groups, modality)
        if judgement is None:
            state = state.without_evidence()
            clear.append(features)
            continue
        seen = DetectorWindow(window.start, window.stop, 1.0, failed=True, gross=True)
        state = replace(state, fails=update(state.fails, _BY_TWO_WINDOWS, seen))
        verdict = Verdict.place(
            judgement,
            features,
            stream=stream,
            baseline=golden.name,
            baseline_id=golden.id,
            stop=window.stop,
            failing_since=state.fails.since,
            confirmed=state.fails.confirmed,
        )
        failed.append(JudgedWindow(verdict, features))
    return state, failed, clear


def _look(block: FeatureBlock, groups: tuple[FeatureGroup, ...], modality: Modality[Any]) -> Judgement | None:
    """Return the FAIL of a window that needs no history; None if nothing is wrong, or its times tell no moment."""
    try:
        burst = Burst.of(block, groups)
    except BadBaseline:
        return None
    column = burst.defect(groups)
    if column is None and not _is_covered(burst, groups):
        return None
    first = FrameTime(source=block.source_of(0), time=float(block.times[0]))
    return Judgement(
        status=Status.FAIL,
        drift_score=1.0,
        p_value=NO_HISTORY_P_VALUE,
        gross=True,
        cause=Cause.COVERED if column is None else modality.diagnose(_risen(column, groups)),
        began=first,
        segment="",
        provisional=True,
        feature_groups=(),
        leading_features=(),
        worst_frames=(WorstFrame(source=first.source, time=first.time, distance=0.0),),
    )


def _is_covered(burst: Burst, groups: tuple[FeatureGroup, ...]) -> bool:
    """Return whether hardly anything can be seen, so that nobody knows what is before the camera."""
    found = ambient_group(groups)
    if found is None:
        return False
    group, ambient = found
    return any(burst.mean_of(group, name) >= limit for name, limit in ambient.covered.items())


def _risen(column: str, groups: Sequence[FeatureGroup]) -> Shifts:
    """Return the shifts of a window in which one column alone has moved, from nothing to all."""
    names = tuple(name for group in groups for name in compared_names(group))
    moved = np.array([name == column for name in names])
    failing = frozenset(group.name for group in groups if column in compared_names(group))
    return Shifts(names, np.zeros(len(names)), moved.astype(np.float64), moved.astype(np.float64), moved, failing)
