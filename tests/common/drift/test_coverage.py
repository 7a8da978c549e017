"""What of a camera's days is covered, and which bursts it still needs."""

from __future__ import annotations

import math

import pytest

from common.drift.bursts import Burst
from common.drift.coverage import ANCHOR_DAYS, coverage_of, hours_text, wants
from tests.common.drift.days import GROUPS, burst_block, bursts


def test_a_coverage_says_which_hours_days_and_lights_were_seen() -> None:
    found = coverage_of(bursts(range(3), [0.1, 12.1, 12.6]))
    assert (found.bursts, found.days) == (9, 3.0)
    assert {hour for hour, count in enumerate(found.hours) if count} == {0, 12}
    assert found.hours[12] == 3
    assert found.known_hours == (0, 11, 12, 13, 23), "within an hour of a burst"
    assert set(found.known_hours) | set(found.unknown_hours) == set(range(24))
    assert sum(found.weekdays) == 9
    assert max(found.weekdays) == 3
    assert (found.colour, found.infrared) == (True, True)
    assert found.light_from is not None and found.light_to is not None
    assert found.light_to - found.light_from > 0.5
    nothing = coverage_of([])
    assert (nothing.bursts, nothing.days, nothing.false_alarms_per_day) == (0, 0.0, None)


def test_the_false_alarm_rate_held_falls_with_the_time_that_was_observed() -> None:
    half_hours = [half / 2 for half in range(48)]
    day = coverage_of(bursts([0], half_hours)).false_alarms_per_day
    week = coverage_of(bursts(range(7), half_hours)).false_alarms_per_day
    assert day == pytest.approx(-math.log(0.05), rel=0.01), "none seen in a day: at most three a day"
    assert week == pytest.approx(-math.log(0.05) / 7, rel=0.01)
    hourly = coverage_of(bursts([0])).false_alarms_per_day
    assert hourly is not None and day is not None
    assert hourly > 1.9 * day, "what lies between two hours was not observed"


def test_an_hour_is_learned_on_a_week_of_days_and_then_only_unseen_light() -> None:
    known = bursts(range(ANCHOR_DAYS), [12.1])
    assert wants(known, Burst.of(burst_block(8, 15.1), GROUPS)), "another hour"
    assert wants(known[:-1], Burst.of(burst_block(8, 12.1), GROUPS)), "six days of seven"
    assert not wants(known, Burst.of(burst_block(8, 12.2), GROUPS))
    assert wants(known, Burst.of(burst_block(8, 12.1, luma=-0.9), GROUPS)), "a light that was never seen"
    assert wants(known, Burst.of(burst_block(8, 12.1, saturation=-0.3), GROUPS)), "infra-red at that hour"
    assert wants([], known[0])
    assert not wants(known[:2], Burst.of(burst_block(1, 12.2), GROUPS)), "of the same half hour"


def test_hours_are_written_as_ranges_over_midnight() -> None:
    assert hours_text([]) == ""
    assert hours_text(list(range(24))) == "0-24"
    assert hours_text([23, 0]) == "23-1"
