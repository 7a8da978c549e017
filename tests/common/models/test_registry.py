"""Promotions and rollbacks: what a person chose is held, and a rollback never returns to what was rolled back from."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from common.contracts.events import EventType
from common.contracts.models import ChampionRecord
from common.errors import BadModel, NotPromoted
from common.models.gate import Decision
from common.models.registry import promote, promote_by_hand, release, roll_back, version_before
from common.settings import Settings
from common.store import Store
from tests.common.builders import record

GOOD = Decision(promote=True, reason="+1 dB", gain_db=1.0, loss_db=0.0)


class PaperModel:
    """A model that is a file."""

    def predict(self, examples):  # type: ignore[no-untyped-def]
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "model").touch()


def by_gate(store: Store, name: str = "") -> ChampionRecord:
    """Promote as a retraining does, with a model and a baseline of its own."""
    champion = store.champions.champion("dock")
    version = champion.version + 1 if champion else 1
    place = f"/v{version}{name}"
    new = record(version, parent=version - 1 or None, baseline_id=place, baseline_path=place, model_path=place)
    assert store.champions.promote(new, over=version - 1, announce=None)
    return new


def test_a_rollback_is_a_new_entry_with_the_old_model_and_baseline(store: Store) -> None:
    first, _ = by_gate(store), by_gate(store)
    back = roll_back(store, "dock")
    assert (back.version, back.baseline_id, back.model_path, back.parent) == (3, first.baseline_id, first.model_path, 2)
    assert [row.version for row in store.champions.history("dock")] == [1, 2, 3]
    assert [event.type for event in store.event_log.events()] == [EventType.CHAMPION_PROMOTED]


def test_a_second_rollback_goes_one_version_further_back(store: Store) -> None:
    first, second, _ = by_gate(store), by_gate(store), by_gate(store)
    assert roll_back(store, "dock").model_path == second.model_path
    assert roll_back(store, "dock").model_path == first.model_path, "and not back to the third"
    with pytest.raises(NotPromoted, match="no version before"):
        roll_back(store, "dock")


def test_a_version_that_version_0_1_rolled_back_to_is_known_by_what_it_deploys(store: Store) -> None:
    first, bad = by_gate(store), by_gate(store)
    old = first.model_copy(update={"version": 3, "parent": 2, "reason": "rolled back from version 2"})
    assert version_before([first, bad, old]) is None
    assert version_before([first, bad, old, by_gate(store).model_copy(update={"version": 4, "parent": 3})]) == 1


def test_an_unknown_version_or_model_is_refused_with_those_that_exist(store: Store) -> None:
    by_gate(store)
    with pytest.raises(NotPromoted, match=r"no version 7 \(there are: v1\)"):
        promote_by_hand(store, "dock", 7)
    with pytest.raises(NotPromoted, match=r"no model 'x' \(there are: dock\)"):
        roll_back(store, "x")
    assert store.champions.held("dock") is None
    assert store.champions.held("x") is None


def test_what_a_person_chose_is_held_until_a_person_releases_it(store: Store) -> None:
    by_gate(store), by_gate(store)
    assert store.champions.held("dock") is None
    back = roll_back(store, "dock")
    hold = store.champions.held("dock")
    assert hold is not None
    assert (hold.version, hold.reason) == (back.version, "rolled back from version 2 to version 1")
    release(store, "dock")
    assert store.champions.held("dock") is None
    with pytest.raises(NotPromoted, match="not held"):
        release(store, "dock")
    promote_by_hand(store, "dock", 2)
    assert store.champions.held("dock") is not None


def test_a_challenger_is_kept_in_a_folder_that_the_history_names(store: Store, settings: Settings) -> None:
    golden = by_gate(store)
    new = promote(store, golden, PaperModel(), GOOD, settings.state_dir)
    (folder,) = (settings.state_dir / "champions" / "dock").iterdir()
    assert Path(new.model_path or "") == folder.resolve() / "model"
    assert (new.baseline_path, new.baseline_id) == (golden.baseline_path, golden.baseline_id), "golden is golden"
    assert store.champions.champion("dock") == new


def test_a_challenger_that_came_too_late_leaves_no_folder(store: Store, settings: Settings) -> None:
    golden = by_gate(store)
    by_gate(store)
    with pytest.raises(NotPromoted, match="somebody else"):
        promote(store, golden, PaperModel(), GOOD, settings.state_dir)
    assert list((settings.state_dir / "champions" / "dock").iterdir()) == []


def test_a_challenger_that_cannot_be_written_leaves_no_folder(store: Store, settings: Settings) -> None:
    class Unwritable(PaperModel):
        def save(self, folder: Path) -> None:
            super().save(folder)
            raise BadModel("no space left")

    with pytest.raises(BadModel):
        promote(store, by_gate(store), Unwritable(), GOOD, settings.state_dir)
    assert list((settings.state_dir / "champions" / "dock").iterdir()) == []


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
        promote(store, golden, PaperModel(), GOOD, settings.state_dir)
    champion = store.champions.champion("dock")
    assert champion is not None
    assert Path(champion.model_path or "").is_dir()


@pytest.mark.parametrize("name", ["../x", "a/b", "..", ""])
def test_no_model_is_kept_outside_the_champions_folder(store: Store, settings: Settings, name: str) -> None:
    with pytest.raises(BadModel, match="another name"):
        promote(store, record(1, model=name), PaperModel(), GOOD, settings.state_dir)


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(st.sampled_from(["gate", "back", "release"]), st.integers(1, 12)), max_size=14))
def test_rollbacks_walk_the_line_that_led_to_the_champion(store: Store, actions: list[str | int]) -> None:
    """The law, by a reference that keeps for each model the whole line of those that led to it.

    The gate puts a new model at the end of the champion's line. A rollback makes the last but one of the champion's
    line the champion, with the line that it had. A promotion by hand does so with the model of any version.
    """
    store.client.flushall()
    lines: dict[str, list[str]] = {}
    deployed: list[str] = []
    held = False

    def arrives(new: ChampionRecord) -> None:
        deployed.append(str(new.model_path))

    for action in ["gate", *actions]:
        line = lines[deployed[-1]] if deployed else []
        if action == "gate":
            arrives(by_gate(store))
            lines[deployed[-1]] = [*line, deployed[-1]]
        elif action == "release":
            if held:
                release(store, "dock")
            held = False
        elif action == "back" and len(line) > 1:
            arrives(roll_back(store, "dock"))
            assert deployed[-1] == line[-2]
            held = True
        elif action == "back":
            with pytest.raises(NotPromoted, match="no version before"):
                roll_back(store, "dock")
        elif isinstance(action, int) and action <= len(deployed):
            arrives(promote_by_hand(store, "dock", action))
            assert deployed[-1] == deployed[action - 1]
            held = True
        assert (store.champions.held("dock") is not None) == held
    assert [row.version for row in store.champions.history("dock")] == list(range(1, len(deployed) + 1))
    # From wherever it stands, going back ends at the first of the line and meets no model twice.
    left = lines[deployed[-1]]
    assert [str(roll_back(store, "dock").model_path) for _ in left[1:]] == left[-2::-1] if len(left) > 1 else True
    assert version_before(store.champions.history("dock")) is None
