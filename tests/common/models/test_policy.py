"""The policy applied to a stretch: what may be trained on, and the law that nothing forbidden rides along."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.policy import Policy, Response
from common.contracts.verdicts import Cause
from common.errors import NothingToLearnFrom
from common.models.policy import cause_to_train

DEFAULT = Policy()
TRAINED = [cause for cause in Cause if DEFAULT.of(cause).trains]
FORBIDDEN = [cause for cause in Cause if not DEFAULT.of(cause).trains]
stretches = st.lists(st.sampled_from(Cause), min_size=1, max_size=40)
policies = st.fixed_dictionaries({cause: st.sampled_from(Response) for cause in Cause}).map(Policy)


def may_train(causes: list[Cause], policy: Policy = DEFAULT) -> Cause | None:
    try:
        return cause_to_train(causes, policy)
    except NothingToLearnFrom:
        return None


@pytest.mark.parametrize("cause", TRAINED)
def test_a_stretch_of_one_cause_that_may_be_trained_on_is_trained_on(cause: Cause) -> None:
    assert cause_to_train([cause] * 10, DEFAULT) is cause
    assert cause_to_train([cause], DEFAULT) is cause


@pytest.mark.parametrize("cause", FORBIDDEN)
def test_a_stretch_of_a_forbidden_cause_is_refused_and_a_person_is_sent_to_the_camera(cause: Cause) -> None:
    with pytest.raises(NothingToLearnFrom, match=rf"{cause} in 10 of its 10 windows: look at the camera"):
        cause_to_train([cause] * 10, DEFAULT)


@pytest.mark.parametrize(("windows", "others", "trained"), [(9, 1, True), (8, 2, False), (18, 2, True), (17, 2, False)])
def test_nine_tenths_of_the_windows_must_name_the_cause(windows: int, others: int, trained: bool) -> None:
    causes = [Cause.BLUR] * others + [Cause.NOISE] * windows
    assert may_train(causes) is (Cause.NOISE if trained else None)
    if not trained:
        with pytest.raises(NothingToLearnFrom, match=rf"noise {windows}, blur {others}\).*nine tenths"):
            cause_to_train(causes, DEFAULT)


def test_a_refusal_names_every_forbidden_cause() -> None:
    with pytest.raises(NothingToLearnFrom, match="black in 1, covered in 2 of its 43 windows"):
        cause_to_train([Cause.NOISE] * 40 + [Cause.COVERED] * 2 + [Cause.BLACK], DEFAULT)


@given(stretches, policies, st.sampled_from(Cause), st.integers(0, 40))
def test_one_forbidden_window_always_refuses_the_whole_stretch(
    causes: list[Cause], policy: Policy, added: Cause, place: int
) -> None:
    """The law, under any policy and wherever it stands: what the policy forbids never rides along."""
    if not policy.of(added).trains:
        assert may_train([*causes[:place], added, *causes[place:]], policy) is None


@given(stretches, policies, st.randoms(use_true_random=False))
def test_what_is_trained_on_is_named_by_nine_tenths_and_allowed_whatever_the_order(
    causes: list[Cause], policy: Policy, random: Random
) -> None:
    cause = may_train(causes, policy)
    shuffled = random.sample(causes, len(causes))
    assert may_train(shuffled, policy) is cause
    allowed = all(policy.of(named).trains for named in causes)
    most = max(set(causes), key=causes.count)
    assert (cause is not None) == (allowed and 10 * causes.count(most) >= 9 * len(causes))
    if cause is not None:
        assert cause is most


def test_the_setting_lets_a_cause_be_trained_on_or_forbids_it() -> None:
    assert may_train([Cause.UNKNOWN] * 4, Policy.parse("unknown=train")) is Cause.UNKNOWN
    assert may_train([Cause.NOISE] * 4, Policy.parse("noise=call")) is None
