"""Decay: only worse is decay, and it never takes part in the judgement of anything else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.model_scores import GoldenScores, ScoreColumn
from common.contracts.verdicts import Cause, Judgement, ResolutionChange, Status
from common.drift.decay import FEWEST_ROWS, with_model
from common.drift.scores import SMALLEST_P
from common.features import FeatureBlock
from common.live_scores import LiveScores
from tests.common.builders import block
from tests.common.builders import verdict as verdict_of

COLUMNS = (
    ScoreColumn(name="gain_db", text="dB over DIS flow", least_loss=0.3),
    ScoreColumn(name="psnr_db", text="dB PSNR", least_loss=None),
)
PASSED = Judgement(
    status=Status.PASS, drift_score=0.1, p_value=0.4, cause=None, segment="day", feature_groups=(),
    leading_features=(), worst_frames=(),
)  # fmt: skip
FAILED = PASSED.model_copy(update={"status": Status.FAIL, "cause": Cause.NOISE, "drift_score": 0.5, "p_value": 0.01})


def golden(mean: float = 0.6, *, count: int = 60, spread: float = 0.2, by: str = "v1") -> GoldenScores:
    gains = np.random.default_rng(0).normal(mean, spread, count)
    return GoldenScores(
        stream="dock", golden_id="g", by=by, version=1, behind_db=0.0, columns=COLUMNS,
        values=tuple((float(gain), 35.0) for gain in gains), examples=2 * count, made_at=0.0,
    )  # fmt: skip


def window(*gains: float, psnr: float = 35.0, by: str = "v1") -> FeatureBlock:
    at = (np.arange(len(gains)) * 4).astype(np.int32)
    values = np.column_stack([gains, np.full(len(gains), psnr)]).astype(np.float32)
    return replace(block(48), scores=LiveScores(by, ("gain_db", "psnr_db"), values, at))


def judged(judgement: Judgement, features: FeatureBlock, reference: GoldenScores | None = golden()) -> Judgement:  # noqa: B008, it is immutable
    return with_model(judgement, features, reference, threshold=0.3, p_value=0.05)


def test_a_model_that_does_worse_where_nothing_else_is_wrong_is_named() -> None:
    found = judged(PASSED, window(-0.6, -0.5, -0.7, -0.4))
    assert (found.status, found.cause) == (Status.FAIL, Cause.MODEL_DECAY)
    assert found.drift_score > 0.3 and SMALLEST_P <= found.p_value < 0.05
    assert found.model is not None
    assert found.model.sentence == "the model does worse: -0.55 dB over DIS flow, golden +0.62"
    assert found.began is not None and found.began.time == 0.0
    assert [frame.time for frame in found.worst_frames] == [8.0, 0.0, 4.0]
    assert not found.gross


@given(st.lists(st.floats(0.65, 20.0), min_size=3, max_size=12))
def test_better_is_no_decay(gains: list[float]) -> None:
    found = judged(PASSED, window(*gains))
    assert (found.status, found.cause, found.drift_score, found.p_value) == (Status.PASS, None, 0.1, 0.4)
    assert found.model is not None and not found.model.decayed
    assert found.feature_groups[-1].drift_score == 0


@given(st.lists(st.floats(-30.0, 20.0), min_size=1, max_size=12))
def test_a_fail_stays_what_it_is_whatever_the_model_does(gains: list[float]) -> None:
    """Seeing is never traded for acting."""
    found = judged(FAILED, window(*gains))
    own = {"model", "feature_groups"}
    assert found.model_dump(exclude=own) == FAILED.model_dump(exclude=own)


def test_drift_without_decay_says_that_the_model_copes() -> None:
    found = judged(FAILED, window(0.5, 0.6, 0.4, 0.6))
    assert found.cause is Cause.NOISE
    assert found.model is not None
    assert found.model.sentence == "the model copes: +0.52 dB over DIS flow, golden +0.62"


def test_absolute_psnr_is_shown_and_never_judged() -> None:
    """The noise of the hidden frame caps it."""
    assert judged(PASSED, window(0.6, 0.7, 0.5, 0.6, psnr=20.0)).status is Status.PASS


@pytest.mark.parametrize(
    ("features", "reference"),
    [
        (block(48), golden()),
        (window(-1.0, -1.0, -1.0, -1.0), None),
        (window(-1.0, -1.0, -1.0, -1.0, by="v2"), golden()),
        (window(*[-1.0] * (FEWEST_ROWS - 1)), golden()),
        (window(-1.0, -1.0, -1.0, -1.0), golden(count=4)),
        (window(-1.0, -1.0, -1.0, -1.0), golden().model_copy(update={"columns": COLUMNS[::-1]})),
    ],
    ids=["no scores", "no reference", "another version", "too few", "too little golden", "other columns"],
)
def test_where_nothing_can_be_compared_the_judgement_is_as_it_was(
    features: FeatureBlock, reference: GoldenScores | None
) -> None:
    assert judged(PASSED, features, reference) == PASSED


def test_a_window_that_matches_a_condition_is_not_held_against_golden_scores() -> None:
    match = verdict_of().model_copy(update={"status": Status.PASS}).model_dump(include=set(Judgement.model_fields))
    condition = {
        "id": "c", "cause": Cause.NOISE, "golden_score": 0.6, "golden_p_value": 0.01, "golden_cause": Cause.NOISE
    }  # fmt: skip
    matched = Judgement.model_validate({**match, "cause": None, "condition": condition})
    assert judged(matched, window(-1.0, -1.0, -1.0, -1.0)) == matched


@pytest.mark.parametrize(
    "unsure",
    [{"provisional": True}, {"resolution": ResolutionChange(before=(1280, 720), now=(640, 360))}],
    ids=["an hour not known", "another size"],
)
def test_what_golden_footage_does_not_know_names_no_decay(unsure: dict[str, object]) -> None:
    found = judged(PASSED.model_copy(update=unsure), window(-1.0, -1.0, -1.0, -1.0))
    assert found.status is Status.PASS
    assert found.model is not None and found.model.decayed


def test_golden_scores_that_vary_by_themselves_allow_as_much() -> None:
    assert judged(PASSED, window(-0.2, 0.1, -0.3, 0.2), golden(spread=0.05)).status is Status.FAIL
    assert judged(PASSED, window(-0.2, 0.1, -0.3, 0.2), golden(spread=1.0)).status is Status.PASS
