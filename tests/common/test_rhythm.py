"""What is learned from gaps: how long a stream may be silent. Examples that a person would expect, and laws."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.rhythm import FEWEST_GAPS, LEARNING, TIMES, longest_silence

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
OFFLINE = 120.0


def gaps_of(arrivals: Iterable[float]) -> list[tuple[float, int]]:
    return [(later - earlier, 1) for earlier, later in itertools.pairwise(sorted(arrivals))]


def by_day(days: Sequence[int], every: float, first: float = 8 * HOUR, last: float = 18 * HOUR) -> list[float]:
    """Return arrivals each `every` seconds between two times of day."""
    return [day * DAY + first + every * n for day in days for n in range(int((last - first) / every) + 1)]


def allowed(arrivals: Iterable[float], offline: float = OFFLINE) -> float | None:
    return longest_silence(gaps_of(arrivals), offline)


def test_a_camera_of_a_frame_a_second_is_offline_after_the_seconds_of_the_setting() -> None:
    assert longest_silence([(1.0, 7200)], OFFLINE) == OFFLINE


def test_a_folder_with_a_file_an_hour_is_given_a_few_hours() -> None:
    assert allowed(HOUR * n for n in range(24)) == 3 * HOUR


@pytest.mark.parametrize("arrivals", [[], [0.0], [0.0, 3 * DAY], [HOUR * n for n in range(FEWEST_GAPS)]])
def test_of_few_files_nothing_is_known_so_one_that_somebody_drops_never_leads_to_an_alarm(
    arrivals: list[float],
) -> None:
    assert allowed(arrivals) is None


def test_many_files_that_somebody_drops_at_once_are_no_rhythm() -> None:
    assert allowed(0.5 * n for n in range(1000)) is None
    sessions = [3 * DAY * session + 2.0 * n for session in range(4) for n in range(200)]
    assert (allowed(sessions) or 0.0) > 3 * DAY


def test_nights_are_usual_once_two_were_seen_and_however_much_comes_by_day() -> None:
    one, two = by_day([0, 1], 5 * MINUTE), by_day([0, 1, 2], 5 * MINUTE)
    assert (allowed(one) or 0.0) < HOUR, "the first one may be an outage"
    assert (allowed(two) or 0.0) > 14 * HOUR
    assert (longest_silence([*gaps_of(two), (0.01, 1_000_000)], OFFLINE) or 0.0) > 14 * HOUR


def test_weekends_are_usual_once_two_were_seen() -> None:
    weeks = by_day([day for day in range(14) if day % 7 < 5], HOUR)
    assert (allowed([*weeks, 14 * DAY + 8 * HOUR]) or 0.0) > 62 * HOUR


def test_an_outage_does_not_make_the_next_one_usual() -> None:
    day = [(1.0, 86_400)]
    assert longest_silence([*day, (15 * DAY, 1)], OFFLINE) == OFFLINE
    assert longest_silence([*day, (HOUR, 1), (HOUR, 1)], OFFLINE) == OFFLINE, "two that take less than a twentieth"


def test_a_pause_each_day_is_usual_if_it_takes_more_than_a_twentieth_of_the_time() -> None:
    assert longest_silence([(1.0, 10 * 22 * 3600), (2 * HOUR, 10)], OFFLINE) == TIMES * 2 * HOUR
    assert longest_silence([(1.0, 10 * 23 * 3600), (HOUR, 10)], OFFLINE) == OFFLINE


lengths = st.floats(0.01, 1e6)
histories = st.lists(st.tuples(lengths, st.integers(1, 500)), max_size=30)
offline = st.floats(0.01, 1e5)


@given(histories, offline)
def test_it_is_never_shorter_than_the_setting_nor_longer_than_thrice_the_second_longest_gap(
    gaps: list[tuple[float, int]], offline_seconds: float
) -> None:
    found = longest_silence(gaps, offline_seconds)
    if found is not None:
        every = sorted(length for length, count in gaps for _ in range(min(count, 2)))
        assert offline_seconds <= found <= max(offline_seconds, TIMES * every[-2])


@given(histories, offline, st.integers(-10, 10))
def test_seconds_or_hours_are_the_same_to_it(gaps: list[tuple[float, int]], offline_seconds: float, power: int) -> None:
    scale = 2.0**power  # exact in floating point
    found = longest_silence(gaps, offline_seconds)
    scaled = longest_silence([(length * scale, count) for length, count in gaps], offline_seconds * scale)
    assert scaled == (None if found is None else found * scale)


@given(histories, offline, st.randoms(use_true_random=False))
def test_neither_the_order_of_gaps_nor_how_they_are_counted_matters(
    gaps: list[tuple[float, int]], offline_seconds: float, random: object
) -> None:
    apart = [(length, 1) for length, count in gaps for _ in range(min(count, 5))]
    together = [(length, min(count, 5)) for length, count in gaps]
    found, other = longest_silence(apart[::-1], offline_seconds), longest_silence(together, offline_seconds)
    assert found == pytest.approx(other)


@given(histories, offline, st.floats(1.0, 1e6))
def test_the_longest_gap_may_be_however_long(
    gaps: list[tuple[float, int]], offline_seconds: float, longer: float
) -> None:
    top = max((length for length, _ in gaps), default=1.0)
    found = longest_silence([*gaps, (top, 1)], offline_seconds)
    assert longest_silence([*gaps, (top + longer, 1)], offline_seconds) == found


@given(histories, offline, st.floats(1.0, 100.0))
def test_a_stream_that_is_slower_throughout_is_given_more_time(
    gaps: list[tuple[float, int]], offline_seconds: float, slower: float
) -> None:
    found = longest_silence(gaps, offline_seconds)
    later = longest_silence([(length * slower, count) for length, count in gaps], offline_seconds)
    if found is not None:
        assert later is not None
        assert later >= found * (1 - 1e-9)


@given(st.floats(0.01, 1e5), st.lists(st.floats(1.0, 2.0), min_size=FEWEST_GAPS + 1, max_size=60), offline)
def test_a_regular_stream_that_jitters_by_two_never_alarms_and_alarms_soon_once_it_stops(
    every: float, jitter: list[float], offline_seconds: float
) -> None:
    for seen in range(FEWEST_GAPS, len(jitter)):
        found = longest_silence([(every * factor, 1) for factor in jitter[:seen]], offline_seconds)
        if found is not None:
            assert every * jitter[seen] < found, "the gap that comes next is no alarm"
            assert found <= max(offline_seconds, TIMES * 2 * every)


@given(histories, offline)
def test_with_a_history_of_the_length_it_asks_for_it_is_known(
    gaps: list[tuple[float, int]], offline_seconds: float
) -> None:
    enough = [(offline_seconds * LEARNING / FEWEST_GAPS * 1.01, FEWEST_GAPS + 1)]
    assert longest_silence([*gaps, *enough], offline_seconds) is not None
