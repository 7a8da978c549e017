"""State that version 0.3 stored is opened, and says the same as it did there; incidents are among it since then.

How streams wait until their baseline is built again, and go on, `test_stored_state` shows with the versions before. The
conditions of 0.3, which are not read, are no part of the fixture.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from common.contracts.incidents import IncidentState
from common.settings import Settings
from common.store import Store
from tests.upgrade import life_0_3, scenario
from tests.upgrade.life_0_3 import PERSON, RECOVERED, TOLD
from tests.upgrade.make_fixture import ARCHIVE
from tests.upgrade.scenario import YARD
from tests.upgrade.test_stored_state import unlike
from tests.upgrade.world import World, running_redis

FIXTURE = Path(__file__).parent / "fixtures" / "v0_3"
_OF_OLD_BASELINES = frozenset({"embedding_size", "sensor_names", "minimum_effects"})
"""What a baseline said before its groups of features had names."""


class Opened:
    """The fixture in a folder of its own, what 0.3 said of it, and what today's version says."""

    def __init__(self, folder: Path) -> None:
        written = (FIXTURE / TOLD).read_text(encoding="utf-8")
        self.expected: dict[str, Any] = json.loads(written.replace(json.loads(written)["root"], str(folder)))
        self.world: World = scenario.restore(FIXTURE / ARCHIVE, json.loads(written)["root"], folder)
        self.found = life_0_3.described(self.world)

    def same(self, name: str) -> None:
        """Assert that all that 0.3 said of `name` is still said."""
        differences = list(unlike(self.found[name], self.expected[name]))
        assert not differences, "\n".join(differences)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return Opened(tmp_path_factory.mktemp("another place") / "opened")


def test_incidents_are_there_with_what_was_done_about_them(opened: Opened) -> None:
    opened.same("incidents")
    by_stream = {row["stream"]: row for row in opened.found["incidents"]}
    assert {stream: row["state"] for stream, row in by_stream.items()} == {
        "gate/north": "failing",
        YARD: "failing",
        RECOVERED: "closed",
    }
    assert by_stream["gate/north"]["acknowledged_by"] == PERSON
    assert [action["kind"] for action in by_stream["gate/north"]["actions"]] == ["retrain", "acknowledge"]
    assert by_stream[YARD]["muted"]


def test_streams_and_verdicts_queues_and_dead_letters_are_the_same(opened: Opened) -> None:
    opened.same("status")
    opened.same("dead")
    assert {row["kind"] for row in opened.found["dead"]} == scenario.DEAD_LETTERS
    assert opened.found["status"]["queues"]["embed"] == 1


@pytest.mark.parametrize("name", ["baseline", "baseline_yard"])
def test_baselines_show_as_they_were_built(opened: Opened, name: str) -> None:
    was = {field: value for field, value in opened.expected[name].items() if field not in _OF_OLD_BASELINES}
    differences = list(unlike(opened.found[name], was))
    assert not differences, "\n".join(differences)
    embedding, quality = opened.found[name]["groups"]
    assert embedding["size"] == opened.expected[name]["embedding_size"]
    assert quality["columns"] == opened.expected[name]["sensor_names"]


def test_what_is_opened_can_be_stored_again(opened: Opened) -> None:
    """The reducer reads the log of incidents as it is stored, and commits it in today's format."""
    with running_redis(opened.world.redis_folder) as url:
        store = Store(url, Settings(_env_file=None, state_dir=opened.world.folder / "state"))
        (incident,) = store.streams.open_incidents("gate/north")
        assert incident.state is IncidentState.FAILING
        assert type(incident).from_json(incident.to_json()) == incident
        store.client.close()
