"""A person's word that the present is normal: judged by it from the next window on, kept in a history, taken back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.baselines.acceptance import accept, acceptances, propose, undo
from common.baselines.accepted_baseline import folder_of
from common.baselines.binding import BaselineBinding
from common.baselines.golden import ComesFrom
from common.contracts.golden import GoldenChange, GoldenRecord
from common.contracts.incidents import ActionKind, IncidentState
from common.contracts.verdicts import Status
from common.errors import NotAccepted, UnknownStream
from common.ingest.accept import Ingestor
from common.settings import Settings
from common.store import Store
from tests.common.baselines.small import small_baseline
from tests.feeding import feed, normal, re_aimed, reduce
from tests.workers.turned_camera import accepted, statuses, turn


@pytest.fixture
def binding(ingestor: Ingestor) -> BaselineBinding:
    return ingestor.baselines


def test_what_was_accepted_is_golden_at_once_also_for_a_process_that_runs(
    store: Store, with_baseline: Settings, binding: BaselineBinding
) -> None:
    other = BaselineBinding(with_baseline, store)
    turn(store, binding, "dock")
    before = other.of_stream("dock")
    proposal = accepted(store, with_baseline, binding, "dock")
    assert [name for name, _ in proposal.footage.clips] == ["dock@72"], "frames from before the turn are left out"
    assert proposal.footage.frames == 156, "the last four have not been judged yet"
    after = other.of_stream("dock")
    assert after.id != before.id
    assert after.baseline.name == before.baseline.name
    assert after.baseline.rule == before.baseline.rule
    assert after.folder.is_relative_to(with_baseline.state_dir.resolve())
    assert other.find("dock").comes_from is ComesFrom.ACCEPTED
    assert other.of_stream("yard").id == before.id, "no other stream is judged by it"
    found = feed(store, binding, "dock", re_aimed(120, seed=4))
    assert statuses(found) == {Status.PASS}
    assert {verdict.baseline_id for verdict in found} == {after.id}
    feed(store, binding, "dock", normal(24, seed=5))
    assert statuses(feed(store, binding, "dock", normal(72, seed=5))) == {Status.FAIL}, "what was normal is not, now"


def test_a_run_of_fails_does_not_outlive_the_golden_baseline_that_it_departed_from(
    store: Store, with_baseline: Settings, binding: BaselineBinding
) -> None:
    """Else the first FAIL under the new one would be confirmed at once, by windows that may be normal now."""
    turn(store, binding, "dock")
    rebuilt = small_baseline(with_baseline.baselines_dir / "test", seed=9)
    found = feed(store, binding, "dock", re_aimed(72, seed=4))
    assert (found[0].status, found[0].baseline_id) == (Status.FAIL, rebuilt.id)
    assert {row.failing_since for row in found} == {found[0].start}, "the run begins with the new baseline"
    (incident,) = store.streams.open_incidents("dock")
    assert (incident.golden_id, incident.since) == (rebuilt.id, found[0].start)


def test_the_incident_is_closed_by_the_reducer_and_says_who_and_why(
    store: Store, with_baseline: Settings, binding: BaselineBinding
) -> None:
    turn(store, binding, "dock")
    accepted(store, with_baseline, binding, "dock")
    reduce("dock")
    (incident,) = store.streams.incidents("dock")
    assert incident.state is IncidentState.CLOSED
    (action,) = [action for action in incident.actions if action.kind is ActionKind.ACCEPT]
    assert (action.by, action.outcome) == ("ada", "accepted as the new normal: turned to the gate")
    (row,) = store.golden.history("dock")
    assert (row.number, row.by, row.why, row.incidents) == (1, "ada", "turned to the gate", (incident.id,))
    assert sum(row.causes.values()) == len(incident.windows)


def test_an_undo_brings_the_golden_before_back_and_a_second_one_goes_further(
    store: Store, with_baseline: Settings, binding: BaselineBinding
) -> None:
    golden = [binding.of_stream("dock").id]
    turn(store, binding, "dock")
    accepted(store, with_baseline, binding, "dock")
    golden.append(binding.of_stream("dock").id)
    reduce("dock")
    feed(store, binding, "dock", normal(160, seed=6))
    accepted(store, with_baseline, binding, "dock")
    golden.append(binding.of_stream("dock").id)
    assert len(set(golden)) == 3
    for number, expected in ((2, golden[1]), (1, golden[0])):
        undone = undo(store, binding, "dock", by="bob", why="")
        assert (undone.change, undone.undoes, undone.baseline_id) == (GoldenChange.UNDONE, number, expected)
        assert binding.of_stream("dock").id == expected
    with pytest.raises(NotAccepted, match="nothing to undo"):
        undo(store, binding, "dock", by="bob", why="")
    assert [row.number for row in store.golden.history("dock")] == [1, 2, 3, 4]
    feed(store, binding, "dock", normal(24, seed=7))
    assert statuses(feed(store, binding, "dock", normal(72, seed=7))) == {Status.PASS}, "as before"
    reduce("dock")
    kinds = [action.kind for row in store.streams.incidents("dock") for action in row.actions]
    assert kinds.count(ActionKind.UNDO) == 2


def test_an_acceptance_after_an_undo_stands_over_what_was_golden_then(
    store: Store, with_baseline: Settings, binding: BaselineBinding
) -> None:
    origin = binding.of_stream("dock").id
    turn(store, binding, "dock")
    accepted(store, with_baseline, binding, "dock")
    undo(store, binding, "dock", by="bob", why="too early")
    incident = store.streams.incidents("dock")[0].id
    accept(store, with_baseline, propose(store, binding, "dock", incident[:8]), by="ada", why="")
    assert binding.find("dock").comes_from is ComesFrom.ACCEPTED
    assert undo(store, binding, "dock", by="bob", why="").baseline_id == origin


def test_a_rebuilt_golden_baseline_ends_what_was_accepted_over_the_old_one(
    store: Store, with_baseline: Settings, binding: BaselineBinding
) -> None:
    turn(store, binding, "dock")
    accepted(store, with_baseline, binding, "dock")
    rebuilt = small_baseline(with_baseline.baselines_dir / "test", seed=9)
    assert binding.of_stream("dock").id == rebuilt.id
    assert binding.find("dock").comes_from is ComesFrom.SETTINGS
    with pytest.raises(NotAccepted, match="nothing to undo"):
        undo(store, binding, "dock", by="bob", why="")
    with pytest.raises(NotAccepted, match="judged by another golden baseline"):
        propose(store, binding, "dock", store.streams.incidents("dock")[0].id)
    assert len(store.golden.history("dock")) == 1, "what was is not forgotten"


def test_of_two_people_who_accept_at_once_one_is_told_and_nothing_of_that_is_left(
    store: Store, with_baseline: Settings, binding: BaselineBinding
) -> None:
    turn(store, binding, "dock")
    first, second = propose(store, binding, "dock"), propose(store, binding, "dock")
    done = accept(store, with_baseline, first, by="ada", why="")
    with pytest.raises(NotAccepted, match="somebody else changed"):
        accept(store, with_baseline, second, by="bob", why="")
    assert store.golden.history("dock") == [done]
    assert [str(folder) for folder in folder_of(with_baseline.state_dir, "dock").iterdir()] == [done.folder]
    assert store.client.llen("sentinel:{dock}:inbox") == 1


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("", "has no open incident"),
        ("0123", "0 incidents of stream 'dock' begin with '0123' (there are: none)"),
    ],
)
def test_footage_without_an_incident_is_refused(store: Store, binding: BaselineBinding, wanted: str, said: str) -> None:
    feed(store, binding, "dock", normal(72, seed=2))
    with pytest.raises(NotAccepted) as raised:
        propose(store, binding, "dock", wanted)
    assert said in str(raised.value)


def test_a_stream_that_never_came_is_refused(store: Store, binding: BaselineBinding) -> None:
    with pytest.raises(UnknownStream, match="no stream 'dock'"):
        propose(store, binding, "dock")
    with pytest.raises(UnknownStream, match="no stream 'dock'"):
        undo(store, binding, "dock", by="", why="")


def test_an_incident_of_another_stream_is_unknown_here(store: Store, binding: BaselineBinding) -> None:
    turn(store, binding, "dock")
    feed(store, binding, "yard", normal(30, seed=2))
    with pytest.raises(NotAccepted, match="0 incidents of stream 'yard'"):
        propose(store, binding, "yard", store.streams.incidents("dock")[0].id)


def test_footage_whose_features_are_gone_was_never_judged_and_is_refused(
    store: Store, binding: BaselineBinding
) -> None:
    turn(store, binding, "dock")
    store.client.delete(*store.client.keys("sentinel:{dock}:evidence:*"))
    with pytest.raises(NotAccepted, match="no features of judged windows are kept"):
        propose(store, binding, "dock")


def test_too_little_footage_says_how_much_there_is_and_how_long_to_wait(store: Store, binding: BaselineBinding) -> None:
    turn(store, binding, "dock")
    (incident,) = store.streams.open_incidents("dock")
    for window in incident.windows[5:]:
        store.client.delete(f"sentinel:{{dock}}:evidence:{window.event_id}")
    with pytest.raises(NotAccepted, match=r"longest stretch has 4\d sampled frames, a baseline needs \d+: wait for"):
        propose(store, binding, "dock")


def test_a_picture_that_never_changes_cannot_become_normal(
    store: Store, with_baseline: Settings, binding: BaselineBinding
) -> None:
    feed(store, binding, "dock", normal(72, seed=2))
    black = re_aimed(160, seed=3)
    black.groups["quality"][:] = 0.0
    black.groups["embedding"][:] = 5.0
    feed(store, binding, "dock", black)
    with pytest.raises(NotAccepted, match="same picture or readings all the time"):
        accept(store, with_baseline, propose(store, binding, "dock"), by="ada", why="")
    assert store.golden.latest("dock") is None
    assert not list(folder_of(with_baseline.state_dir, "dock").glob("*"))


@given(st.lists(st.booleans(), max_size=12))
def test_undoing_goes_back_one_acceptance_at_a_time_in_whatever_order_they_came(accepts: list[bool]) -> None:
    golden, history = ["origin"], list[GoldenRecord]()
    for number, is_acceptance in enumerate(accepts, start=1):
        standing = acceptances(history)
        assert ["origin", *(row.baseline_id for row in standing)] == golden
        if not is_acceptance and not standing:
            continue
        before = golden[-1]
        golden = [*golden, f"b{number}"] if is_acceptance else golden[:-1]
        assert is_acceptance or standing[-1].replaced_id == golden[-1], "what an undo brings back"
        history.append(
            GoldenRecord(
                stream="dock", number=number, by="ada", at=0.0, why="", origin_id="origin", folder=None,
                change=GoldenChange.ACCEPTED if is_acceptance else GoldenChange.UNDONE,
                baseline_id=golden[-1], replaced_folder=None, replaced_id=before,
            )
        )  # fmt: skip
