"""The conditions in a champion's record: added when it is proved on them, ended or dropped when it no longer is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from common.contracts.conditions import ConditionRecord
from common.contracts.events import ConditionDropped
from common.contracts.models import ChampionRecord
from common.errors import BadMessage, NotPromoted
from common.store import Store

log = logging.getLogger(__name__)


def add_conditions(store: Store, over: ChampionRecord, conditions: Sequence[ConditionRecord]) -> ChampionRecord:
    """Add to the champion's record conditions that it is proved on as it is, or proved on afresh.

    One that stood in `over` and was dropped meanwhile is not added again.

    Raises
    ------
    NotPromoted
        If `over` is no longer champion.
    """
    amended = over

    def change(champion: ChampionRecord) -> tuple[ChampionRecord, list[ConditionDropped]]:
        nonlocal amended
        if champion.version != over.version:
            raise NotPromoted(f"model {over.model!r} was promoted by somebody else meanwhile: look again and retry")
        dropped = {condition.id for condition in over.conditions} - {row.id for row in champion.conditions}
        added = {condition.id: condition for condition in conditions if condition.id not in dropped}
        kept = tuple(
            row for row in champion.conditions if row.id not in added and not _is_replaced(row, added.values())
        )
        renewed = {(row.stream, row.cause) for row in added.values()}
        ended = tuple(row for row in champion.ended if (row.stream, row.cause) not in renewed)
        amended = champion.model_copy(update={"conditions": (*kept, *added.values()), "ended": ended})
        return amended, []

    store.champions.amend(over.model, change)
    return amended


def _is_replaced(old: ConditionRecord, added: Iterable[ConditionRecord]) -> bool:
    """Return whether a condition has expired, and another of the same stream and cause is proved now."""
    return any((old.stream, old.cause) == (row.stream, row.cause) and not old.is_live(row.proved) for row in added)


def drop_conditions(store: Store, model: str, wanted: Callable[[ConditionRecord], bool]) -> list[ConditionRecord]:
    """Take the conditions that are `wanted` out of the champion's record, announce it, and return them.

    What is remembered of ended ones goes with them.
    """
    return _take_out(store, model, wanted, lambda ended, _: tuple(row for row in ended if not wanted(row)))


def end_conditions(store: Store, model: str, wanted: Callable[[ConditionRecord], bool]) -> list[ConditionRecord]:
    """Let the champion's conditions that are `wanted` match nothing more, announce it, and return them.

    They are remembered among the ended ones.
    """
    return _take_out(store, model, wanted, lambda ended, dropped: (*ended, *dropped))


def forget_ended(store: Store, model: str, wanted: Callable[[ConditionRecord], bool]) -> None:
    """Remember the ended conditions that are `wanted` no longer."""

    def change(champion: ChampionRecord) -> tuple[ChampionRecord, list[ConditionDropped]]:
        return champion.model_copy(update={"ended": tuple(row for row in champion.ended if not wanted(row))}), []

    store.champions.amend(model, change)


_Ended = tuple[ConditionRecord, ...]


def _take_out(
    store: Store,
    model: str,
    wanted: Callable[[ConditionRecord], bool],
    remember: Callable[[_Ended, list[ConditionRecord]], _Ended],
) -> list[ConditionRecord]:
    dropped: list[ConditionRecord] = []

    def change(champion: ChampionRecord) -> tuple[ChampionRecord, list[ConditionDropped]]:
        dropped[:] = [condition for condition in champion.conditions if wanted(condition)]
        kept = tuple(condition for condition in champion.conditions if condition not in dropped)
        after = {"conditions": kept, "ended": remember(champion.ended, dropped)}
        return champion.model_copy(update=after), [dropped_event(model, row) for row in dropped]

    store.champions.amend(model, change)
    return dropped


def drop_conditions_of_stream(store: Store, stream: str) -> list[ConditionRecord]:
    """Take the conditions of a stream out of the records of all champions, and return them.

    A record that a newer version wrote, or that was edited by hand, is left alone: its conditions are not used either.
    """
    found: list[ConditionRecord] = []
    for model in store.champions.models():
        try:
            found += drop_conditions(store, model, lambda condition: condition.stream == stream)
        except BadMessage as error:
            log.error("the champion of model %s cannot be read: %s", model, error)
    return found


def dropped_event(model: str, condition: ConditionRecord) -> ConditionDropped:
    """Return the event that a condition is dropped."""
    key = f"{condition.id}@{condition.proved}"  # the same condition may be proved again, and dropped again
    return ConditionDropped.about(condition, model=model, stream=condition.stream, key=key)
