"""What is shown, asked of a real Redis."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import queries
from common.contracts.batches import SourceRequest
from common.contracts.dead_letters import DeadLetter, DeadLetterKind
from common.contracts.verdicts import Status
from common.errors import BadSource
from common.queries import dead_letter_groups, matches, stream_status, stream_statuses, system_status
from common.store import Store, keys
from common.store.event_log import dead_letter
from tests.common.builders import verdict


def judge(store: Store, name: str, status: Status | None, at: float) -> None:
    store.client.zadd(keys.STREAMS, {name: at})
    if status is not None:
        judged = verdict(stream=name, status=status).to_json()
        store.client.hset(keys.stream_key(name, "window"), mapping={"version": 1, "at": at, "verdict": judged})


def test_streams_come_in_the_order_in_which_they_want_attention(store: Store) -> None:
    now = time.time()
    for number in range(12):
        judge(store, f"s{number}", (Status.PASS, Status.FAIL, None)[number % 3], now - 7 * number % 11)
    rows = stream_statuses(store)
    assert [row.status for row in rows] == [Status.FAIL] * 4 + [None] * 4 + [Status.PASS] * 4
    for status in (Status.FAIL, Status.PASS):
        ages = [row.seconds_since_last_frame for row in rows if row.status is status]
        assert ages == sorted(ages, key=lambda age: age or 0.0)
        assert [row.stream for row in stream_statuses(store, status=status)] == [
            row.stream for row in rows if row.status is status
        ]


def test_many_streams_are_read_together_and_each_says_what_it_says_by_itself(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    for number in range(7):
        judge(store, f"s{number}", (Status.PASS, Status.FAIL, None)[number % 3], now - number)
        store.client.zadd(keys.stream_key(f"s{number}", "pending"), {f"c{n}": n for n in range(number + 1)})
    monkeypatch.setattr(queries, "_AT_ONCE", 3)
    found = {row.stream: row for row in stream_statuses(store)}
    assert len(found) == 7
    for name, row in found.items():
        alone = stream_status(store, name, now)
        assert row.model_copy(update={"seconds_since_last_frame": 0.0}) == alone.model_copy(
            update={"seconds_since_last_frame": 0.0}
        )
        assert row.pending_chunks == int(name[1:]) + 1


def test_a_stream_of_another_version_hides_no_other(store: Store) -> None:
    judge(store, "fails", Status.FAIL, time.time())
    judge(store, "newer", Status.PASS, time.time())
    store.client.hset(keys.stream_key("newer", "window"), "verdict", '{"format": 99}')
    fails, newer = stream_statuses(store)
    assert (fails.status, newer.status) == (Status.FAIL, None)


def test_the_url_is_shown_without_its_password(store: Store) -> None:
    assert system_status(store, "redis://u:secret@h:1/0").redis_url == "redis://h:1/0"


@given(st.text(min_size=1))
def test_a_streams_own_name_always_chooses_it(name: str) -> None:
    assert matches(name, name)
    assert matches(name, "")
    assert matches(name, "*")


letters = st.builds(
    lambda stream, number, reason: dead_letter(
        DeadLetterKind.SOURCE,
        stream,
        f"/in/{number}.mp4",
        BadSource(f"/in/{number}.mp4 {reason} {number}"),
        SourceRequest(stream=stream, uri="/"),
    ),
    st.sampled_from(["a", "b"]),
    st.integers(0, 1000),
    st.sampled_from(["is empty", "is no video", "is too large"]),
)


@given(st.lists(letters))
def test_every_dead_letter_is_counted_under_its_reason(letters: list[DeadLetter]) -> None:
    groups = dead_letter_groups(letters)
    assert sum(group.count for group in groups) == len(letters)
    assert len(groups) == len({" ".join(letter.reason.split()[1:-1]) for letter in letters})
    assert [group.count for group in groups] == sorted((group.count for group in groups), reverse=True)
    for group in groups:
        assert "/in/" not in group.reason
        assert group.first <= group.last


def test_a_champion_that_a_newer_version_wrote_is_named_and_hides_no_other_model(store: Store) -> None:
    key = keys.model_key("dock", "champion")
    store.client.set(key, '{"format": 9, "model": "dock"}')
    (shown,) = system_status(store, "redis://127.0.0.1:1/0").models
    assert (shown.model, shown.version) == ("dock", 0)
    assert "format 9" in shown.unreadable
