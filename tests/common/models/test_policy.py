"""The policy applied to a stretch: what may be trained on, and the law that nothing forbidden rides along."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.incidents import IncidentWindow
from common.contracts.policy import Policy, Response
from common.contracts.verdicts import Cause
from common.drift.stretches import Stretch
from common.errors import NothingToLearnFrom
from common.models.policy import cause_to_train, parts
from tests.common.builders import block

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


# --- a few windows that look as if the camera had moved


def stretch_of(causes: list[Cause], *, hop: int = 6, frames: int = 24) -> Stretch:
    """A stretch of overlapping windows that name these causes."""
    windows = tuple(
        IncidentWindow(
            event_id=f"e{i}", start=i * hop, stop=i * hop + frames, cause=cause, segment="golden", condition=None
        )
        for i, cause in enumerate(causes)
    )
    return Stretch("dock", 0, windows, block((len(causes) - 1) * hop + frames))


def test_no_frame_of_a_few_odd_windows_is_trained_on_and_the_rest_is() -> None:
    causes = [Cause.NOISE] * 10 + [Cause.CAMERA_MOVED] * 2 + [Cause.NOISE] * 10
    found = parts(stretch_of(causes), DEFAULT)
    assert [(part.first, len(part.block), set(part.causes)) for part in found] == [
        (0, 60, {Cause.NOISE}),  # up to frame 60, where the first odd window begins
        (90, 60, {Cause.NOISE}),  # from frame 90, where the second one ends
    ]


@given(
    st.lists(
        st.sampled_from([*[Cause.NOISE] * 12, Cause.CAMERA_MOVED, Cause.BLACK, Cause.FROZEN]), min_size=1, max_size=40
    )
)
def test_only_a_few_windows_of_a_view_that_differs_are_ever_set_aside(causes: list[Cause]) -> None:
    """The law: what the policy forbids for another reason stays in, and has all of it refused."""
    stretch = stretch_of(causes)
    found = parts(stretch, DEFAULT)
    odd = causes.count(Cause.CAMERA_MOVED)
    if not odd or 10 * odd > len(causes) or {Cause.BLACK, Cause.FROZEN} & set(causes):
        assert found == [stretch]
    elif found != [stretch]:
        moved = {frame for w in stretch.windows if w.cause is Cause.CAMERA_MOVED for frame in range(w.start, w.stop)}
        assert all(may_train(list(part.causes)) is Cause.NOISE for part in found)
        assert all(moved.isdisjoint(range(part.first, part.first + len(part.block))) for part in found)
