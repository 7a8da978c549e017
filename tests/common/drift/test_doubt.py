"""When more frames are asked for, and when it is decided."""

from __future__ import annotations

from typing import Any

import pytest

from common.contracts.verdicts import Cause, ConditionMatch, Spacing, Status, Verdict
from common.drift.doubt import is_in_doubt
from tests.common.drift.footage import RULE, fitted, footage, judge

BASELINE = fitted(footage(600, seed=1))
PASSES = judge(BASELINE, footage(RULE.frames, seed=3)).model_copy(update={"drift_score": 0.1})
SPARSE = Spacing(golden=0.1, window=1.0, share=1.0, score=0.1)
CONDITION = ConditionMatch(id="c", cause=Cause.NOISE, golden_score=0.9, golden_p_value=0.01, golden_cause=Cause.NOISE)


def verdict(*, confirmed: bool = False, **own: Any) -> Verdict:
    judgement = PASSES.model_copy(update=own)
    return Verdict.place(
        judgement, footage(RULE.frames, seed=3), stream="dock", baseline="test", baseline_id="b", stop=RULE.frames,
        failing_since=0 if confirmed else None, confirmed=confirmed,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("own", "in_doubt"),
    [
        ({}, False),
        ({"drift_score": 0.2}, True),
        ({"status": Status.FAIL, "drift_score": 0.9}, True),
        ({"status": Status.FAIL, "drift_score": 0.9, "confirmed": True}, False),
        ({"condition": CONDITION}, True),
        ({"condition": CONDITION, "confirmed": True}, False),
        ({"provisional": True}, True),
        ({"spacing": SPARSE}, False),
        ({"spacing": SPARSE.model_copy(update={"score": 0.2})}, True),
    ],
)
def test_a_stream_is_in_doubt_until_it_passes_clearly_or_its_fails_are_confirmed(
    own: dict[str, Any], in_doubt: bool
) -> None:
    assert is_in_doubt(verdict(**own), 0.15) is in_doubt


def test_a_score_is_suspicious_above_the_bound_alone() -> None:
    assert not is_in_doubt(verdict(drift_score=0.15), 0.15)
    assert is_in_doubt(verdict(drift_score=0.1501), 0.15)
