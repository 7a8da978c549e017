"""Proof: above every reference for sure, or not proved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from common.features import FloatArray
from common.models.proof import Proof, coping, proof_of, prove
from common.models.protocols import ModelKind
from common.models.vfi.kind import InterpolationKind

STEADY = np.full(24, 30.0, np.float32)


class PaperModel:
    """A model that nobody asks for a prediction: `PaperKind` knows its scores."""

    def predict(self, examples: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        raise NotImplementedError


class PaperKind(InterpolationKind):
    """The interpolation kind, but an example is four bytes: the scores of model, average and flow, and the noise."""

    def score(self, predictors, examples) -> FloatArray:  # type: ignore[no-untyped-def]
        noise = examples[:, 3] / 100.0
        return np.asarray([examples[:, column] / 10.0 + noise for column in range(len(predictors))], np.float32)


def footage(model: int, average: int, flow: int, count: int = 24) -> npt.NDArray[np.uint8]:
    noise = np.random.default_rng(0).integers(0, 100, count)
    return np.stack([np.array([model, average, flow, n], np.uint8) for n in noise])


def proved(model: float, average: float, flow: float) -> Proof:
    return proof_of(STEADY + model, {"average": STEADY + average, "dis": STEADY + flow})


def test_a_model_above_every_reference_is_proved_by_its_gain_over_the_strongest() -> None:
    proof = proved(1.0, 0.2, 0.5)
    assert proof.proved
    assert (proof.gain_db, proof.surely_db, proof.examples) == (pytest.approx(0.5), pytest.approx(0.5), 24)
    assert "over dis" in proof.reason


@pytest.mark.parametrize(("average", "flow", "named"), [(1.0, 0.0, "average"), (0.0, 1.5, "dis")])
def test_a_model_that_equals_or_loses_to_a_reference_is_not_proved(average: float, flow: float, named: str) -> None:
    proof = proved(1.0, average, flow)
    assert not proof.proved
    assert f"not surely above {named}" in proof.reason


def test_still_examples_on_which_averaging_is_perfect_do_not_hide_that_the_model_is_better() -> None:
    still = np.arange(24) % 4 > 0  # three of four examples show no motion, and plain averaging is right about them
    average = np.where(still, 40.0, 22.0).astype(np.float32)
    flow = np.where(still, 38.0, 29.0).astype(np.float32)
    model = np.where(still, 38.6, 30.0).astype(np.float32)
    assert proof_of(model, {"average": average, "dis": flow}).proved
    assert not proof_of(flow, {"average": average, "dis": flow}).proved


def test_a_gain_that_may_be_an_accident_is_no_proof() -> None:
    noise = np.random.default_rng(1).normal(0.1, 3.0, 24).astype(np.float32)
    assert not proof_of(STEADY + noise, {"dis": STEADY}).proved


def test_scores_that_are_not_finite_prove_nothing() -> None:
    assert not proof_of(np.full(24, np.nan, np.float32), {"dis": STEADY}).proved


def test_too_few_examples_prove_nothing() -> None:
    proof = prove(PaperKind(), PaperModel(), footage(200, 100, 100, count=11))  # type: ignore[type-var]
    assert not proof.proved
    assert "only 11 examples" in proof.reason


@pytest.mark.parametrize(
    ("drifted", "copes", "unhurt"), [(205, True, True), (204, True, False), (203, True, False), (202, False, False)]
)
def test_a_model_copes_if_it_gains_half_as_much_as_on_golden_footage(drifted: int, copes: bool, unhurt: bool) -> None:
    golden = footage(205, 190, 200)  # a gain of 0.5 dB over flow
    found = coping(PaperKind(), PaperModel(), footage(drifted, 190, 200), golden)  # type: ignore[type-var]
    assert (found.copes, found.unhurt) == (copes, unhurt)


def test_a_model_that_is_not_proved_does_not_cope_however_little_golden_footage_gains() -> None:
    found = coping(PaperKind(), PaperModel(), footage(200, 190, 200), footage(200, 190, 210))  # type: ignore[type-var]
    assert found.usual_db < 0
    assert not found.copes
    assert not found.unhurt


def test_the_paper_kind_is_a_kind() -> None:
    assert isinstance(PaperKind(), ModelKind)
