"""A person's choice of version: it is held, and a rollback never returns to what was rolled back from."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from common.contracts.conditions import ConditionRecord
from common.contracts.events import EventType
from common.contracts.incidents import ActionKind
from common.contracts.models import ChampionRecord
from common.errors import BadModel, NotPromoted
from common.models.condition_records import add_conditions
from common.models.registry import promote_by_hand, register_first, release, roll_back, version_before
from common.settings import Settings
from common.store import Store, keys
from tests.common.models.lines import (
    BLUR,
    ELSEWHERE,
    NOISE,
    PaperModel,
    announced,
    by_gate,
    champion,
    old_line,
    on_all,
    on_none,
)


def test_a_rollback_is_a_new_entry_with_the_old_weights(store: Store) -> None:
    first, _ = by_gate(store), by_gate(store)
    back, dropped = roll_back(store, "vfi", on_all, by="ada")
    assert (back.version, back.model_digest, back.model_path, back.parent) == (3, "/v1", first.model_path, 2)
    assert dropped == []
    assert [row.version for row in store.champions.history("vfi")] == [1, 2, 3]
    assert announced(store) == [EventType.CHAMPION_PROMOTED]


def test_a_rollback_keeps_the_conditions_that_the_older_version_is_proved_on_and_drops_the_others(store: Store) -> None:
    first = by_gate(store)
    by_gate(store, NOISE, BLUR, ELSEWHERE)
    tried: list[tuple[int, Sequence[ConditionRecord]]] = []
    proved = NOISE.model_copy(update={"gain_db": 0.1})

    def prove(version: ChampionRecord, conditions: Sequence[ConditionRecord]) -> Sequence[ConditionRecord]:
        tried.append((version.version, conditions))
        return [proved, ELSEWHERE]

    back, dropped = roll_back(store, "vfi", prove, by="ada")
    assert tried == [(first.version, (NOISE, BLUR, ELSEWHERE))], "the champion's conditions, on the older weights"
    assert champion(store).conditions == back.conditions == (proved, ELSEWHERE)
    assert dropped == [BLUR]
    assert announced(store) == [EventType.CHAMPION_PROMOTED, EventType.CONDITION_DROPPED]


def test_a_rollback_tells_the_incidents_of_what_it_drops_in_its_one_step(store: Store) -> None:
    """Whoever is killed right after the rollback has left nothing out; a stream that was forgotten stays so."""
    store.client.zadd(keys.STREAMS, {NOISE.stream: 1.0})
    by_gate(store)
    by_gate(store, NOISE, ELSEWHERE)
    store.client.delete(keys.EVENTS)
    script = store.champions._promote
    seen: list[tuple[int, int]] = []

    def promoting(**kwargs: object) -> object:
        result = script(**kwargs)
        seen.append((store.client.llen(keys.stream_key(NOISE.stream, "inbox")), store.client.xlen(keys.EVENTS)))
        return result

    store.champions._promote = promoting  # type: ignore[assignment]
    roll_back(store, "vfi", on_none, by="ada")
    assert seen == [(1, 3)], "the promotion and two conditions that are dropped; one note"
    (received,) = store.streams.window(NOISE.stream).notes
    note = received.note
    assert note is not None
    assert (note.incident, note.action.kind, note.action.by) == (NOISE.incident, ActionKind.ROLLBACK, "ada")
    assert not store.client.exists(keys.stream_key(ELSEWHERE.stream, "inbox")), "of it nothing is known"


def test_conditions_that_were_dropped_do_not_return_with_the_version_that_had_them(store: Store) -> None:
    by_gate(store), by_gate(store, NOISE)
    roll_back(store, "vfi", on_none, by="ada")
    again, dropped = promote_by_hand(store, "vfi", 2, on_all, by="ada")
    assert (again.model_digest, again.conditions, dropped) == ("/v2", (), [])


def test_a_rollback_whose_proof_breaks_off_changes_nothing(store: Store) -> None:
    by_gate(store)
    stands = by_gate(store, NOISE)

    def broken(version: ChampionRecord, conditions: Sequence[ConditionRecord]) -> Sequence[ConditionRecord]:
        raise BadModel("its weights are gone")

    with pytest.raises(BadModel):
        roll_back(store, "vfi", broken, by="ada")
    assert champion(store) == stands
    assert store.champions.held("vfi") is None
    assert announced(store) == []


def test_a_rollback_that_meets_a_promotion_changes_nothing(store: Store) -> None:
    by_gate(store), by_gate(store, NOISE)

    def meanwhile(version: ChampionRecord, conditions: Sequence[ConditionRecord]) -> Sequence[ConditionRecord]:
        by_gate(store, NOISE, BLUR)
        return []

    with pytest.raises(NotPromoted, match="somebody else"):
        roll_back(store, "vfi", meanwhile, by="ada")
    assert (champion(store).version, champion(store).conditions) == (3, (NOISE, BLUR))
    assert store.champions.held("vfi") is None
    assert announced(store) == [], "and no condition is said to be dropped"


def test_a_rollback_that_meets_a_new_condition_changes_nothing(store: Store) -> None:
    """The condition would be gone, without having been tried on the older version and without a word about it."""
    by_gate(store)
    over = by_gate(store, NOISE)

    def meanwhile(version: ChampionRecord, conditions: Sequence[ConditionRecord]) -> Sequence[ConditionRecord]:
        add_conditions(store, over, [BLUR])
        return conditions

    with pytest.raises(NotPromoted, match="conditions were changed by somebody else"):
        roll_back(store, "vfi", meanwhile, by="ada")
    assert (champion(store).version, champion(store).conditions) == (2, (NOISE, BLUR))
    assert store.champions.held("vfi") is None


def test_a_second_rollback_goes_one_version_further_back(store: Store) -> None:
    first, second, _ = by_gate(store), by_gate(store), by_gate(store)
    assert roll_back(store, "vfi", on_all, by="ada")[0].model_path == second.model_path
    assert roll_back(store, "vfi", on_all, by="ada")[0].model_path == first.model_path, "and not back to the third"
    with pytest.raises(NotPromoted, match="no version before"):
        roll_back(store, "vfi", on_all, by="ada")


def test_a_version_that_was_rolled_back_to_is_known_by_its_weights(store: Store) -> None:
    first, bad = by_gate(store), by_gate(store)
    again = first.model_copy(update={"version": 3, "parent": 2, "reason": "rolled back from version 2"})
    assert version_before([first, bad, again]) is None
    assert version_before([first, bad, again, by_gate(store).model_copy(update={"version": 4, "parent": 3})]) == 1


def test_an_unknown_version_or_model_is_refused_with_those_that_exist(store: Store) -> None:
    by_gate(store)
    with pytest.raises(NotPromoted, match=r"no version 7 \(there are: v1\)"):
        promote_by_hand(store, "vfi", 7, on_all, by="ada")
    with pytest.raises(NotPromoted, match=r"no model 'x' \(there are: vfi\)"):
        roll_back(store, "x", on_all, by="ada")
    assert store.champions.held("vfi") is None
    assert store.champions.held("x") is None


def test_what_a_person_chose_is_held_until_a_person_releases_it(store: Store) -> None:
    by_gate(store), by_gate(store)
    assert store.champions.held("vfi") is None
    back, _ = roll_back(store, "vfi", on_all, by="ada")
    hold = store.champions.held("vfi")
    assert hold is not None
    assert (hold.version, hold.reason) == (back.version, "rolled back from version 2 to version 1")
    release(store, "vfi")
    assert store.champions.held("vfi") is None
    with pytest.raises(NotPromoted, match="not held"):
        release(store, "vfi")
    promote_by_hand(store, "vfi", 2, on_all, by="ada")
    assert store.champions.held("vfi") is not None


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.integers(0, 2),
    st.lists(st.one_of(st.sampled_from(["gate", "back", "release"]), st.integers(1, 12)), max_size=14),
)
def test_rollbacks_walk_the_line_that_led_to_the_champion(
    store: Store, settings: Settings, old: int, actions: list[str | int]
) -> None:
    """The law, by a reference that keeps for each model the whole line of those that led to it.

    The gate puts new weights at the end of the champion's line. A rollback makes the last but one of the champion's
    line the champion, with the line that it had. A promotion by hand does so with the weights of any version. Versions
    of before 0.3 stand in the history, and on no line.
    """
    store.client.flushall()
    before = old_line(store, old) if old else None
    lines: dict[str, list[str]] = {}
    deployed: list[str] = []
    held = False

    def arrives(new: ChampionRecord) -> None:
        deployed.append(str(new.model_path))

    arrives(register_first(store, "vfi", PaperModel(), before, settings.state_dir))
    lines[deployed[-1]] = [deployed[-1]]
    for action in actions:
        line = lines[deployed[-1]]
        if action == "gate":
            arrives(by_gate(store))
            lines[deployed[-1]] = [*line, deployed[-1]]
        elif action == "release":
            if held:
                release(store, "vfi")
            held = False
        elif action == "back" and len(line) > 1:
            arrives(roll_back(store, "vfi", on_all, by="ada")[0])
            assert deployed[-1] == line[-2]
            held = True
        elif action == "back":
            with pytest.raises(NotPromoted, match="no version before"):
                roll_back(store, "vfi", on_all, by="ada")
        elif isinstance(action, int) and action <= old:
            with pytest.raises(NotPromoted, match=r"made before 0\.3"):
                promote_by_hand(store, "vfi", action, on_all, by="ada")
        elif isinstance(action, int) and action <= old + len(deployed):
            arrives(promote_by_hand(store, "vfi", action, on_all, by="ada")[0])
            assert deployed[-1] == deployed[action - old - 1]
            held = True
        assert (store.champions.held("vfi") is not None) == held
    assert [row.version for row in store.champions.history("vfi")] == list(range(1, old + len(deployed) + 1))
    # From wherever it stands, going back ends at the first of the line and meets no weights twice.
    left = lines[deployed[-1]][-2::-1] if len(lines[deployed[-1]]) > 1 else []
    assert [str(roll_back(store, "vfi", on_all, by="ada")[0].model_path) for _ in left] == left
    assert version_before(store.champions.history("vfi")) is None
