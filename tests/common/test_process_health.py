"""From heartbeats to a state: what holds whatever was recorded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.contracts.processes import ProcessExit, ProcessState
from common.process_health import health_of
from common.processes import Process, Worker
from common.store.heartbeats import Instance, Signs

EMBED = Process("embed", "", Worker("workers.embedding", "embed"), late_after=30)
NOW = 1_000_000.0


def instance(*, started: float, silent: float, host: str = "a", pid: int = 1) -> Instance:
    return Instance(started_at=NOW - started, beat_at=NOW - silent, host=host, pid=pid, clock_offset=0.0)


def signs(*instances: Instance, exit_ago: float | None = None) -> Signs:
    starts: dict[str, list[float]] = {}
    for one in instances:
        starts.setdefault(one.host, []).append(one.started_at)
    ended = None if exit_ago is None else ProcessExit(host="a", pid=1, code=1, reason="bad weights", at=NOW - exit_ago)
    return Signs(NOW, starts, instances, ended)


def test_many_that_were_started_at_once_on_many_machines_are_no_crash_loop() -> None:
    found = health_of(EMBED, signs(*(instance(started=5, silent=1, host=host) for host in "abcdef")))
    assert (found.state, found.instances) == (ProcessState.ALIVE, 6)


def test_many_that_live_beside_each_other_on_one_machine_are_no_crash_loop() -> None:
    found = health_of(EMBED, signs(*(instance(started=5, silent=1, pid=pid) for pid in range(4))))
    assert found.state is ProcessState.ALIVE


def test_one_that_hangs_is_not_hidden_by_another_that_works() -> None:
    found = health_of(EMBED, signs(instance(started=900, silent=2), instance(started=900, silent=100, host="b", pid=9)))
    assert (found.state, found.instances, found.host, found.pid) == (ProcessState.LATE, 1, "b", 9)
    assert "100 s" in found.why


def test_one_that_hangs_after_its_first_heartbeat_is_late_though_lifetimes_are_rounded_to_milliseconds() -> None:
    assert health_of(EMBED, signs(instance(started=100, silent=100.001))).state is ProcessState.LATE


def test_one_that_was_started_beside_another_does_not_replace_it() -> None:
    found = health_of(EMBED, signs(instance(started=900, silent=4), instance(started=1, silent=1, pid=2)))
    assert (found.state, found.instances) == (ProcessState.ALIVE, 2)


def test_one_that_was_killed_and_started_again_is_not_late() -> None:
    found = health_of(EMBED, signs(instance(started=900, silent=200), instance(started=150, silent=1, pid=2)))
    assert (found.state, found.pid) == (ProcessState.ALIVE, 2)


def test_a_crash_loop_is_named_while_the_latest_attempt_still_lives() -> None:
    attempts = [instance(started=100, silent=90), instance(started=60, silent=50), instance(started=20, silent=3)]
    found = health_of(EMBED, signs(*attempts, exit_ago=40))
    assert found.state is ProcessState.CRASH_LOOPING
    assert "bad weights" in found.why


def test_one_that_ended_and_was_not_started_again_is_missing_with_its_last_words() -> None:
    found = health_of(EMBED, Signs(NOW, {"a": [NOW - 50]}, (), signs(exit_ago=10).last_exit))
    assert found.state is ProcessState.MISSING
    assert "bad weights" in found.why


def test_one_that_does_not_get_as_far_as_a_heartbeat_is_starting_and_then_missing() -> None:
    assert health_of(EMBED, Signs(NOW, {"a": [NOW - 5]}, (), None)).state is ProcessState.STARTING
    found = health_of(EMBED, Signs(NOW, {"a": [NOW - 500]}, (), None))
    assert (found.state, found.ok) == (ProcessState.MISSING, False)


@given(
    st.lists(
        st.tuples(st.floats(0, 1e5), st.floats(0, 1e5), st.sampled_from("abc")).map(
            lambda row: instance(started=max(row[0], row[1]), silent=min(row[0], row[1]), host=row[2])
        ),
        max_size=8,
    ),
    st.one_of(st.none(), st.floats(0, 1e5)),
)
def test_whatever_was_recorded_there_is_a_state_and_a_reason_where_it_is_wrong(
    instances: list[Instance], exit_ago: float | None
) -> None:
    found = health_of(EMBED, signs(*instances, exit_ago=exit_ago))
    assert found.ok or found.why
    if found.state is ProcessState.ALIVE:
        assert found.instances
