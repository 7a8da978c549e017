"""The first version, promotions, and the conditions in a champion's record: nothing that stands is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis

from common.contracts.decisions import GateOutcome
from common.contracts.events import ChampionPromoted, ConditionDropped, EventType
from common.errors import BadModel, NotPromoted
from common.models.condition_records import add_conditions, drop_conditions, drop_conditions_of_stream
from common.models.gate import Decision
from common.models.registry import promote, promote_by_hand, register_first, roll_back
from common.settings import Settings
from common.store import Store
from tests.common.builders import record
from tests.common.models.lines import (
    BLUR,
    ELSEWHERE,
    NOISE,
    PaperModel,
    announced,
    by_gate,
    champion,
    folders,
    old_line,
    on_all,
)

DECISION = Decision(GateOutcome.PROMOTED, reason="+1 dB", gain_db=1.0, loss_db=0.2)
GOOD: dict[str, Any] = {"decision": DECISION, "evidence": Path("/d1"), "evidence_digest": "d"}


# --- the first version


def test_a_model_starts_at_version_1_with_the_weights_that_were_fitted(store: Store, settings: Settings) -> None:
    first = register_first(store, "vfi", PaperModel(), None, settings.state_dir)
    (folder,) = folders(settings)
    assert (first.version, first.parent, first.conditions, first.gain_db) == (1, None, (), None)
    assert (first.model_path, first.model_digest) == (str(folder / "model"), "paper")
    assert champion(store) == first
    assert announced(store) == [EventType.CHAMPION_PROMOTED]


def test_a_line_of_the_version_before_goes_on_with_weights_that_can_be_used(store: Store, settings: Settings) -> None:
    old = old_line(store, 3)
    first = register_first(store, "vfi", PaperModel(), old, settings.state_dir)
    assert (first.version, first.parent, first.model_digest) == (4, None, "paper")
    with pytest.raises(NotPromoted, match="no version before"):
        roll_back(store, "vfi", on_all, by="ada")
    with pytest.raises(NotPromoted, match=r"version 2 of model 'vfi' was made before 0\.3"):
        promote_by_hand(store, "vfi", 2, on_all, by="ada")
    assert champion(store) == first


def test_a_first_version_that_comes_after_another_one_leaves_no_folder(store: Store, settings: Settings) -> None:
    stands = by_gate(store)
    with pytest.raises(NotPromoted, match="somebody else"):
        register_first(store, "vfi", PaperModel(), None, settings.state_dir)
    assert champion(store) == stands
    assert folders(settings) == []


# --- promotion


def test_a_challenger_is_kept_in_a_folder_that_the_history_names(store: Store, settings: Settings) -> None:
    golden = by_gate(store, NOISE)
    new = promote(store, golden, PaperModel(), [NOISE, BLUR], **GOOD, state_dir=settings.state_dir)
    (folder,) = folders(settings)
    assert (new.model_path, new.model_digest) == (str(folder / "model"), "paper")
    assert (new.version, new.parent, new.reason, new.gain_db, new.loss_db) == (2, 1, "+1 dB", 1.0, 0.2)
    assert new.conditions == (NOISE, BLUR), "all that it is proved on, in the same step"
    assert new.decision == "/d1"
    assert champion(store) == new
    (event,) = store.event_log.events()
    assert isinstance(event, ChampionPromoted)
    assert event.champion == new


def test_a_challenger_that_came_too_late_leaves_no_folder(store: Store, settings: Settings) -> None:
    golden = by_gate(store)
    stands = by_gate(store, NOISE)
    with pytest.raises(NotPromoted, match="somebody else"):
        promote(store, golden, PaperModel(), [BLUR], **GOOD, state_dir=settings.state_dir)
    assert folders(settings) == []
    assert champion(store) == stands


@pytest.mark.parametrize("change", ["dropped", "added", "proved afresh"])
def test_a_challenger_whose_conditions_changed_while_it_was_trained_is_not_promoted(
    store: Store, settings: Settings, change: str
) -> None:
    """A person accepted the present, or a stream was forgotten: what was let go must not come back with the weights."""
    over = by_gate(store, NOISE, ELSEWHERE)
    if change == "dropped":
        drop_conditions_of_stream(store, "dock")
    else:
        later = NOISE.model_copy(update={"proved": 5.0, "expires": 9.0})
        add_conditions(store, over, [BLUR if change == "added" else later])
    stands = champion(store)
    with pytest.raises(NotPromoted, match="conditions were changed by somebody else"):
        promote(store, over, PaperModel(), [NOISE, ELSEWHERE], **GOOD, state_dir=settings.state_dir)
    assert champion(store) == stands
    assert folders(settings) == []
    new = promote(store, stands, PaperModel(), stands.conditions, **GOOD, state_dir=settings.state_dir)
    assert champion(store) == new, "over what stands now it is"


def test_a_challenger_that_cannot_be_written_leaves_no_folder(store: Store, settings: Settings) -> None:
    class Unwritable(PaperModel):
        def save(self, folder: Path) -> None:
            super().save(folder)
            raise BadModel("no space left")

    stands = by_gate(store)
    with pytest.raises(BadModel):
        promote(store, stands, Unwritable(), [NOISE], **GOOD, state_dir=settings.state_dir)
    assert folders(settings) == []
    assert champion(store) == stands


def test_a_folder_stays_where_redis_went_away_before_it_answered(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = store.champions.promote

    def answer_lost(*args: object, **named: object) -> bool:
        really(*args, **named)  # type: ignore[arg-type]
        raise redis.ConnectionError("gone")

    golden = by_gate(store)
    monkeypatch.setattr(store.champions, "promote", answer_lost)
    with pytest.raises(redis.ConnectionError):
        promote(store, golden, PaperModel(), [NOISE], **GOOD, state_dir=settings.state_dir)
    assert Path(champion(store).model_path or "").is_dir()
    assert champion(store).conditions == (NOISE,)


@pytest.mark.parametrize("name", ["../x", "a/b", "..", ""])
def test_no_model_is_kept_outside_the_champions_folder(store: Store, settings: Settings, name: str) -> None:
    with pytest.raises(BadModel, match="another name"):
        register_first(store, name, PaperModel(), None, settings.state_dir)
    with pytest.raises(BadModel, match="another name"):
        promote(store, record(1, model=name), PaperModel(), [], **GOOD, state_dir=settings.state_dir)
    assert not settings.state_dir.exists()


# --- conditions of the champion


def test_a_condition_that_the_champion_copes_with_is_added_without_a_new_version(store: Store) -> None:
    over = by_gate(store, NOISE)
    amended = add_conditions(store, over, [BLUR, ELSEWHERE])
    assert amended.conditions == (NOISE, BLUR, ELSEWHERE)
    assert champion(store) == amended
    assert (amended.version, amended.model_digest) == (over.version, over.model_digest)
    assert announced(store) == []


def test_a_condition_that_was_proved_afresh_replaces_the_one_of_the_same_id(store: Store) -> None:
    over = by_gate(store, NOISE, BLUR)
    fresh = NOISE.model_copy(update={"proved": 5.0, "expires": 12.0, "digest": "new"})
    assert add_conditions(store, over, [fresh]).conditions == (BLUR, fresh)
    assert champion(store).conditions == (BLUR, fresh)


def test_a_condition_is_not_added_to_a_champion_that_it_was_not_proved_on(store: Store) -> None:
    over = by_gate(store)
    stands = by_gate(store)
    with pytest.raises(NotPromoted, match="somebody else"):
        add_conditions(store, over, [NOISE])
    assert champion(store) == stands


def test_a_condition_that_was_dropped_meanwhile_stays_dropped_when_another_is_added(store: Store) -> None:
    over = by_gate(store, NOISE)
    drop_conditions(store, "vfi", lambda condition: condition == NOISE)
    assert add_conditions(store, over, [BLUR]).conditions == (BLUR,)


def test_a_condition_that_was_dropped_while_it_was_proved_afresh_does_not_come_back(store: Store) -> None:
    over = by_gate(store, NOISE, ELSEWHERE)
    drop_conditions_of_stream(store, "dock")
    fresh = NOISE.model_copy(update={"proved": 5.0, "expires": 12.0})
    assert add_conditions(store, over, [fresh]).conditions == champion(store).conditions == (ELSEWHERE,)


def test_dropped_conditions_leave_the_record_and_are_announced_with_their_streams(store: Store) -> None:
    by_gate(store, NOISE, BLUR, ELSEWHERE)
    assert drop_conditions(store, "vfi", lambda condition: condition.stream == "dock") == [NOISE, BLUR]
    assert champion(store).conditions == (ELSEWHERE,)
    events = list(store.event_log.events())
    assert [(event.type, event.stream, event.model) for event in events] == [
        (EventType.CONDITION_DROPPED, "dock", "vfi"),
        (EventType.CONDITION_DROPPED, "dock", "vfi"),
    ]
    assert [event.condition for event in events if isinstance(event, ConditionDropped)] == [NOISE, BLUR]
    assert drop_conditions(store, "vfi", lambda condition: condition.stream == "dock") == []
    assert drop_conditions(store, "unknown", lambda _: True) == []
    assert len(announced(store)) == 2


def test_the_conditions_of_a_stream_are_dropped_from_every_model(store: Store) -> None:
    by_gate(store, NOISE, ELSEWHERE)
    other = record(1, model="other", conditions=(BLUR,))
    assert store.champions.promote(other, over=0)
    assert sorted(row.id for row in drop_conditions_of_stream(store, "dock")) == sorted([NOISE.id, BLUR.id])
    assert champion(store).conditions == (ELSEWHERE,)
    left = store.champions.champion("other")
    assert left is not None and left.conditions == ()


@pytest.mark.parametrize("act", ["add", "drop"])
def test_a_change_that_meets_another_one_loses_neither(store: Store, monkeypatch: pytest.MonkeyPatch, act: str) -> None:
    """Somebody else adds a condition after the record was read, before it is written."""
    over = by_gate(store, NOISE)
    really, calls = store.champions._amend, list[int]()

    def late(**named: object) -> object:
        calls.append(1)
        if len(calls) == 1:
            monkeypatch.setattr(store.champions, "_amend", really)
            add_conditions(store, over, [ELSEWHERE])
            monkeypatch.setattr(store.champions, "_amend", late)
        return really(**named)  # type: ignore[arg-type]

    monkeypatch.setattr(store.champions, "_amend", late)
    if act == "add":
        add_conditions(store, over, [BLUR])
        assert champion(store).conditions == (NOISE, ELSEWHERE, BLUR)
        assert announced(store) == []
    else:
        assert drop_conditions(store, "vfi", lambda condition: condition == NOISE) == [NOISE]
        assert champion(store).conditions == (ELSEWHERE,)
        assert announced(store) == [EventType.CONDITION_DROPPED], "once"
    assert len(calls) == 2
