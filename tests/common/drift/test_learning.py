"""Baselines that are learned from bursts of days: the promises of fitting, trimming, and judging between lights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.contracts.verdicts import Cause, Status
from common.drift.baseline import Baseline
from common.drift.bursts import Burst, Moment
from common.drift.conditions import fit_condition
from common.drift.learned import NEEDED_NULL, hours_apart, nearest_bursts, pool_size
from common.drift.learning import fit_learned
from common.drift.windows import WindowRule
from common.errors import BadBaseline
from common.features import FeatureBlock
from tests.common.drift.days import GROUPS, RULE, burst_block, bursts, learned
from tests.common.drift.footage import FEATURE_SPEC, judge

THREE_DAYS = learned(bursts(range(3)))
ONE_DAY = learned(bursts([0]))
ONE_NIGHT = learned(bursts(range(3), [0.1, 1.1, 2.1, 3.1, 4.1, 21.1, 22.1, 23.1]))
FAULTS = {"noise": 1.0, "edge_peak": -0.3, "luma": -0.9, "red_balance": 0.25, "black_level": 0.2}


@pytest.mark.parametrize("hour", [0.4, 3.3, 5.7, 6.6, 9.5, 12.3, 15.4, 18.6, 20.3, 22.9])
def test_every_hour_of_the_next_days_passes_and_faults_at_that_hour_fail(hour: float) -> None:
    for day in (3, 4):
        clean = judge(THREE_DAYS, burst_block(day, hour))
        assert (clean.status, clean.provisional) == (Status.PASS, False)
        for column, change in FAULTS.items():
            result = judge(THREE_DAYS, burst_block(day, hour, **{column: change}))
            assert result.status is Status.FAIL, f"{column} at {hour}"
            assert result.leading_features[0].feature == column


def test_dusk_between_the_hours_that_were_learned_passes() -> None:
    even = learned(bursts(range(4), [hour + 0.1 for hour in range(0, 24, 2)]))
    for hour in (7.1, 17.1, 19.1):
        assert judge(even, burst_block(5, hour)).status is Status.PASS


def test_a_dark_day_does_not_pass_as_night() -> None:
    noon_as_dark_as_night = burst_block(3, 12.1, luma=-0.9, white_level=-0.3, noise=0.7)
    result = judge(THREE_DAYS, noon_as_dark_as_night)
    assert result.status is Status.FAIL


def test_the_p_value_is_a_rank_and_never_below_what_the_bursts_support() -> None:
    assert THREE_DAYS.learned is not None
    n = len(THREE_DAYS.learned.null)
    result = judge(THREE_DAYS, burst_block(3, 12.1, noise=5.0))
    assert result.p_value == pytest.approx(1 / (n + 1))
    assert THREE_DAYS.false_alarm_rate_held == pytest.approx(1 / (n + 1))
    middle = float(np.median(THREE_DAYS.learned.null))
    assert THREE_DAYS.learned.p_value(middle) == pytest.approx(0.5, abs=0.05)


def test_a_day_more_makes_bounds_no_wider_than_its_own_weather_calls_for() -> None:
    assert THREE_DAYS.learned is not None
    assert ONE_DAY.learned is not None
    own, more = (b.learned.bounds["quality"].distance for b in (ONE_DAY, THREE_DAYS) if b.learned is not None)
    assert (more <= own).mean() > 0.7, "with one day the null leaves out an hour, and light changes within it"


def test_bad_bursts_while_learning_spoil_nothing() -> None:
    good = bursts(range(3))
    bad = {5: "noise", 17: "edge_peak", 36: "luma", 41: "red_balance", 55: "black_level", 66: "noise", 70: "luma"}
    mixed = [
        Burst.of(burst_block(n // 24, n % 24 + 0.1, **{bad[n]: FAULTS[bad[n]]}), GROUPS) if n in bad else burst
        for n, burst in enumerate(good)
    ]
    spoilt = learned(mixed)
    assert spoilt.learned is not None
    kept = {burst.source for burst in spoilt.learned.bursts}
    assert not {mixed[n].source for n in bad} & kept
    assert len(kept) > 0.8 * (len(good) - len(bad))
    for column, change in FAULTS.items():
        assert judge(spoilt, burst_block(4, 12.3, **{column: change})).status is Status.FAIL
    assert judge(spoilt, burst_block(4, 12.3)).status is Status.PASS


def test_a_fault_so_mild_that_its_hour_does_not_show_it_is_left_out_by_the_null() -> None:
    good = bursts(range(3))
    mild = Burst.of(burst_block(1, 12.1, noise=0.7), GROUPS)
    with_it = learned([*good[:36], mild, *good[37:]])
    assert with_it.learned is not None
    assert mild.source not in {burst.source for burst in with_it.learned.bursts}
    assert judge(with_it, burst_block(4, 12.3, noise=0.7)).status is Status.FAIL


def test_infra_red_at_noon_is_left_out_although_nights_look_like_it() -> None:
    days = bursts(range(3))
    stuck = Burst.of(burst_block(1, 12.4, saturation=-0.3, luma=-0.9, noise=0.7), GROUPS)
    fitted = learned([*days, stuck])
    assert fitted.learned is not None
    assert stuck.source not in {burst.source for burst in fitted.learned.bursts}


def test_a_camera_that_shows_nothing_or_stands_still_is_not_learned() -> None:
    black = bursts(range(2), blackout=1.0)
    with pytest.raises(BadBaseline, match="fail by blackout"):
        learned(black)
    assert black[0].defect(GROUPS) == "blackout"
    still = burst_block(0, 12.1)
    for values in still.groups.values():
        values[:] = values[0]
    assert Burst.of(still, GROUPS).defect(GROUPS) == "repeated"
    assert bursts([0])[0].defect(GROUPS) is None
    with pytest.raises(BadBaseline, match="no golden burst"):
        learned([])


def test_bursts_without_times_or_with_times_that_go_backwards_are_refused() -> None:
    block = burst_block(0, 12.1)
    block.taken_at[3] = np.nan
    with pytest.raises(BadBaseline, match="date and time into the files' names"):
        Burst.of(block, GROUPS)
    block = burst_block(0, 12.1)
    block.taken_at[5] -= 100
    with pytest.raises(BadBaseline, match="go backwards"):
        Burst.of(block, GROUPS)
    block = burst_block(0, 12.1)
    block.taken_at[20:] += 9000
    with pytest.raises(BadBaseline, match="one moment"):
        Burst.of(block, GROUPS)
    with pytest.raises(BadBaseline, match="no variation"):
        Burst.of(burst_block(0, 12.1)[:1], GROUPS)


def test_a_condition_on_learned_days_is_bounded_by_the_hour_that_it_was_seen_in() -> None:
    stretch = burst_block(3, 12.3, frames=120, noise=0.8)
    segment = fit_condition("stretch", stretch, THREE_DAYS, "whatever the verdict named")
    assert THREE_DAYS.learned is not None
    golden = THREE_DAYS.learned.bounds["quality"].distance
    assert (segment.groups["quality"].bounds.distance <= golden).all()


def test_the_order_of_the_bursts_does_not_matter() -> None:
    given_order = bursts(range(2))
    one, other = learned(given_order), learned(given_order[::-1])
    assert one.digest == other.digest


@settings(max_examples=30, deadline=None)
@given(hour=st.floats(0, 23.99), other=st.floats(0, 23.99))
def test_hours_apart_are_those_on_a_clock(hour: float, other: float) -> None:
    there = float(hours_apart(np.array([hour]), other)[0])
    back = float(hours_apart(np.array([other]), hour)[0])
    assert there == pytest.approx(back)
    assert 0 <= there <= 12
    assert float(hours_apart(np.array([(hour + 3) % 24]), (other + 3) % 24)[0]) == pytest.approx(there, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(light=st.floats(-3, 8))
def test_no_light_chooses_another_hour_than_its_own(light: float) -> None:
    moments = [burst.moment for burst in bursts(range(3), [0.1, 4.1, 8.1, 12.1, 16.1, 20.1])]
    window = Moment(moments[3].taken_at + 10 * 86_400, light, infrared=False)
    nearest = nearest_bursts(moments, window, 3)
    assert {round(moments[number].hour) for number in nearest} == {12}, "light breaks ties and no more"


def test_pools_grow_with_the_days_within_limits() -> None:
    assert [pool_size(days) for days in (0.5, 1, 2, 3, 7, 30)] == [3, 3, 4, 6, 12, 12]


def test_days_of_another_modality_without_light_are_learned_too() -> None:
    plain = tuple(group.model_copy(update={"ambient": None}) for group in GROUPS)
    given_bursts = [Burst.of(burst_block(day, hour + 0.1), plain) for day in range(3) for hour in range(24)]
    baseline = fit_learned(
        given_bursts, name="n", feature_spec=FEATURE_SPEC, rule=RULE, groups=plain, created_at=0.0, libraries={}
    )
    assert judge(baseline, burst_block(3, 12.3)).status is Status.PASS
    assert judge(baseline, burst_block(3, 12.3, noise=2.0)).status is Status.FAIL
    half = learned_without(plain, range(8, 20))
    result = judge(half, burst_block(3, 2.0, noise=9.0))
    assert (result.status, result.provisional) == (Status.PASS, True), "nothing is known of that hour"


def learned_without(groups: tuple, hours: range) -> Baseline:  # type: ignore[type-arg]
    """Return a baseline of some hours, of groups that say nothing of light."""
    some = [Burst.of(burst_block(day, hour + 0.1), groups) for day in range(3) for hour in hours]
    return fit_learned(
        some, name="n", feature_spec=FEATURE_SPEC, rule=RULE, groups=groups, created_at=0.0, libraries={}
    )


def test_too_few_bursts_know_no_hour() -> None:
    few = learned(bursts([0], [9.1, 9.6, 10.1]))
    assert few.learned is not None
    assert len(few.learned.null) < NEEDED_NULL
    result = judge(few, burst_block(0, 10.3))
    assert (result.status, result.provisional) == (Status.PASS, True)


@pytest.mark.parametrize(
    ("changes", "fails"),
    [
        ({"luma": -0.5}, False),
        ({"red_balance": 0.2, "saturation": -0.1}, False),
        ({"edge_peak": -0.4}, True),
        ({"black_level": 0.6}, True),
        ({"blackout": 1.0}, True),
    ],
)
def test_in_an_hour_that_is_not_known_only_what_light_hardly_moves_fails(
    changes: dict[str, float], fails: bool
) -> None:
    result = judge(ONE_NIGHT, burst_block(4, 12.3, **changes))
    assert result.provisional
    assert (result.status is Status.FAIL) is fails
    assert not judge(ONE_NIGHT, burst_block(4, 23.3)).provisional, "nights are known"


def test_noise_is_judged_provisionally_only_at_similar_light() -> None:
    morning = learned(bursts(range(3), [hour + 0.1 for hour in range(8, 16)]))
    assert judge(morning, burst_block(3, 17.5, noise=0.9)).status is Status.FAIL
    night = burst_block(3, 23.1, noise=0.9)
    assert judge(morning, night).status is Status.PASS, "the gain at night may be what it likes"


def test_a_step_that_lasts_fails_in_an_unknown_hour_and_a_slow_cloud_does_not() -> None:
    rule = WindowRule(frames=48, stride=12)
    night = learned([Burst.of(burst_block(day, 0.1, frames=48), GROUPS) for day in range(2)], rule)
    fall = np.zeros((4, 48), np.float32)  # nothing, a step, a cloud, and an object that passes
    fall[1, 20:], fall[2], fall[3, 20:26] = -0.4, np.linspace(0, -0.4, 48), -0.4
    results = []
    for change in fall:
        block = burst_block(4, 12.3, frames=48)
        block.groups["quality"][:, 0] += change
        results.append(judge(night, block))
    assert [result.status for result in results] == [Status.PASS, Status.FAIL, Status.PASS, Status.PASS]
    assert results[1].cause is Cause.LOW_LIGHT
    assert not results[1].gross, "windows apart never see the same step, so two of them confirm no fault that lasts"


def test_steps_as_large_as_those_of_learned_footage_with_cuts_are_no_fault() -> None:
    def cut(day: int, hour: float, by: float) -> FeatureBlock:
        block = burst_block(day, hour, frames=48)
        block.groups["quality"][20:, 0] += by
        return block

    rule = WindowRule(frames=48, stride=12)
    plain = learned([Burst.of(cut(day, 0.1, 0.0), GROUPS) for day in range(2)], rule)
    film = learned([Burst.of(cut(0, 0.1, -0.4), GROUPS), Burst.of(cut(1, 0.1, 0.0), GROUPS)], rule)
    assert judge(plain, cut(4, 12.3, -0.45)).status is Status.FAIL
    assert judge(film, cut(4, 12.3, -0.45)).status is Status.PASS
    assert judge(film, cut(4, 12.3, 0.45)).status is Status.PASS, "a cut back"
    assert judge(film, cut(4, 12.3, -0.8)).status is Status.FAIL


def test_a_window_without_a_capture_time_is_judged_provisionally() -> None:
    block = burst_block(3, 12.3)
    block.taken_at[:] = np.nan
    assert judge(THREE_DAYS, block).provisional
