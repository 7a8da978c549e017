"""State that versions before this one stored is opened, read and gone on with, by way of what users have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.compare_values import GONE, NUMBERS_OF_FORMATS, RENAMED
from common.baselines.binding import BaselineBinding
from common.contracts.incidents import IncidentNote
from common.errors import NothingToLearnFrom
from common.features import FeatureBlock
from common.models import registry
from common.models.healing import Healer
from common.models.kinds import load_kind
from common.models.names import DEFAULT_MODEL
from common.models.replay import pooled_replay
from common.models.vfi.triplets import TRIPLET_SIZE
from common.settings import Settings
from common.store import Store
from consumers.retrain_trigger import RetrainTrigger
from tests.upgrade import scenario
from tests.upgrade.make_fixture import ARCHIVE, EXPECTED, libraries, processor
from tests.upgrade.world import World, running_redis

FIXTURES = sorted(path.parent for path in (Path(__file__).parent / "fixtures").glob(f"*/{EXPECTED}"))
_OTHER_MACHINE = 0.02  # how far a score may be off where other instructions or libraries make the features
_TOLERANT = ("drift_score", "p_value", "distance", "bound", "shift", "baseline_value", "window_value")
_OF_OLD_LINES = frozenset({"baseline_path", "baseline_id", "origin_id"})
"""What a champion's record no longer says: before 0.3 a promotion replaced the baseline too."""
_OF_OLD_RETRAININGS = frozenset({"merged_fails", "waiting_fails"})
"""What is no longer said of a retraining: before 0.3 it merged FAILs, now it works on incidents."""

SUBJECTS = {
    "verdict.pass": "verdict",
    "verdict.fail": "verdict",
    "batch.complete": "report",
    "stream.checked": "check",
    "retrain.started": "report",
    "retrain.progress": "report",
    "challenger.rejected": "report",
    "champion.promoted": "champion",
}


class Opened:
    """One fixture in a folder of its own, what was expected of it, and what today's version says."""

    def __init__(self, fixture: Path, folder: Path) -> None:
        written = (fixture / EXPECTED).read_text(encoding="utf-8")
        self.made: dict[str, Any] = json.loads(written)["made"]
        self.expected: dict[str, Any] = json.loads(written.replace(self.made["root"], str(folder)))
        self.world: World = scenario.restore(fixture / ARCHIVE, self.made["root"], folder)
        self.found: dict[str, Any] = scenario.described(self.world)
        self.continued: dict[str, Any] = scenario.go_on(self.world)
        self.settings = Settings(
            _env_file=None,
            state_dir=folder / "state",
            watch_dir=self.world.incoming,
            baselines_dir=folder / "baselines",
            allowed_roots=(folder,),
            baseline=scenario.GOLDEN,
            config=self.world.config if self.world.config.exists() else None,
        )  # type: ignore[call-arg]

    def part(self, name: str) -> Any:
        """Return a part of what was expected; 0.1's fixture has a single line of champions, and nothing of another."""
        if name not in self.expected:
            pytest.skip(f"this fixture has no {name}")
        return self.expected[name]

    @contextmanager
    def store(self) -> Iterator[Store]:
        """Yield the store as it is after everything, on a Redis with nothing else running."""
        with running_redis(self.world.redis_folder) as url:
            store = Store(url, self.settings)
            yield store
            store.client.close()

    def same(self, found: object, expected: object) -> None:
        """Assert that all that was expected is there; where the machine is the same one, to the last digit.

        A newer version may say more: what it adds is not looked at.
        """
        exact = (self.made["processor"], self.made["libraries"]) == (processor(), libraries())
        differences = list(unlike(found, expected, exact=exact))
        assert not differences, "\n".join(differences)


def unlike(found: Any, expected: Any, *, exact: bool, place: str = "") -> Iterator[str]:
    """Yield a line for each value of `expected` that `found` has otherwise."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for was, value in expected.items():
            name = was if was in found else RENAMED.get(was, was)
            if was in NUMBERS_OF_FORMATS or (name not in found and was in GONE):
                continue
            if name not in found:
                yield f"{place}/{name} is gone"
            else:
                yield from unlike(found[name], value, exact=exact, place=f"{place}/{name}")
    elif isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            yield from unlike(one, other, exact=exact, place=f"{place}/{number}")
    elif isinstance(expected, str) and expected.startswith("{") and isinstance(found, str):
        yield from unlike(json.loads(found), json.loads(expected), exact=exact, place=place)
    elif found != expected and not (
        not exact
        and place.rpartition("/")[2] in _TOLERANT
        and found == pytest.approx(expected, abs=_OTHER_MACHINE, rel=_OTHER_MACHINE)
    ):
        yield f"{place} is {found!r}, was {expected!r}"


def without(told: Any, names: Set[str]) -> Any:
    """Return parsed JSON without the fields that are called like one of `names`."""
    if isinstance(told, dict):
        return {name: without(value, names) for name, value in told.items() if name not in names}
    return [without(value, names) for value in told] if isinstance(told, list) else told


def by_subject(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event as the command line prints it now: 0.1 printed the message that it is about as text in `data`."""
    if "data" not in event:
        return event
    about = {name: value for name, value in event.items() if name != "data"}
    kind = event["type"].removeprefix("io.sentinel.").removesuffix(".v1")
    return {**about, SUBJECTS[kind]: json.loads(event["data"])}


@pytest.fixture(scope="module", params=FIXTURES, ids=[path.name for path in FIXTURES])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return Opened(request.param, tmp_path_factory.mktemp("another place") / "opened")


@pytest.mark.parametrize("baseline", ["baseline", "baseline_yard"])
def test_the_baseline_shows_as_it_was_built(opened: Opened, baseline: str) -> None:
    expected, found = opened.part(baseline), opened.found[baseline]
    opened.same(found, expected)
    embedding, quality = found["groups"]  # which 0.1 and 0.2 knew alone, and did not name
    assert (embedding["name"], embedding["size"]) == ("embedding", expected["embedding_size"])
    assert (quality["name"], quality["columns"]) == ("quality", expected["sensor_names"])
    assert quality["minimum_effects"] == expected.get("minimum_effects", expected.get("sensor_floors"))


@pytest.mark.parametrize("check", ["check", "check_mild", "check_yard"])
def test_a_check_against_the_old_baseline_gives_the_same_verdict(opened: Opened, check: str) -> None:
    expected = opened.part(check)
    opened.same(opened.found[check], expected)


def test_status_shows_the_same_streams_and_verdicts(opened: Opened) -> None:
    found, expected = opened.found["status"], without(opened.expected["status"], _OF_OLD_RETRAININGS)
    if "champions" in expected:  # by 0.1: what was a version per model is a model's whole status now
        assert {row["model"]: row["version"] for row in found["models"]} == expected.pop("champions")
    # Streams come in the order of their latest frames, and 0.1 had another one.
    by_name = {row["stream"]: row for row in found["streams"]}
    opened.same([by_name[row["stream"]] for row in expected["streams"]], expected.pop("streams"))
    opened.same(found, expected)


def test_every_event_is_there_and_says_the_same(opened: Opened) -> None:
    # Sources in events are for people and stay as they were, see `relocation`.
    written = json.dumps(opened.expected["events"]).replace(str(opened.world.folder), opened.made["root"])
    expected = []
    for event in (by_subject(event) for event in json.loads(written)):
        if "champion" in event:
            event["champion"] = without(event["champion"], _OF_OLD_LINES)
        expected.append(without(event, _OF_OLD_RETRAININGS))
    opened.same(opened.found["events"], expected)


def test_the_old_lines_of_champions_stay_as_history_with_their_holds(opened: Opened) -> None:
    opened.same(opened.found["champions"], without(opened.expected["champions"], _OF_OLD_LINES))
    assert {row["model"] for row in opened.found["champions"]} == {
        row["model"] for row in opened.expected["champions"]
    }, "no model begins before an incident calls for it"


def test_dead_letters_of_every_kind_are_listed(opened: Opened) -> None:
    assert {row["kind"] for row in opened.found["dead"]} == scenario.DEAD_LETTERS
    opened.same(opened.found["dead"], opened.expected["dead"])


def test_dead_letters_are_retried_and_what_fails_again_comes_back(opened: Opened) -> None:
    assert opened.continued["retried"] == opened.expected["continued"]["retried"]
    assert opened.continued["left"] == opened.expected["continued"]["left"]


def test_a_half_filled_window_is_filled_by_the_frames_that_come_next(opened: Opened) -> None:
    found, expected = (side["verdicts"]["half"] for side in (opened.continued, opened.expected["continued"]))
    assert found[0]["start"] == 0, "the frames from before the stop are in it"
    opened.same(found, expected)


def test_a_window_that_was_sliding_slides_on(opened: Opened) -> None:
    found, expected = (side["verdicts"]["full"] for side in (opened.continued, opened.expected["continued"]))
    assert 0 < found[0]["start"] < scenario.FULL < found[0]["stop"], "it reaches over the stop"
    opened.same(found, expected)


def test_a_stream_that_had_been_failing_is_judged_on_from_its_position(opened: Opened) -> None:
    found, expected = (side["verdicts"]["gate/north"] for side in (opened.continued, opened.expected["continued"]))
    assert {row["status"] for row in found} == {"FAIL"}
    opened.same(found, expected)


def test_a_stream_whose_champion_was_promoted_is_judged_by_golden_again(opened: Opened) -> None:
    """Before 0.3 a promotion widened the baseline, and this footage passed. It FAILs as before, to the last digit."""
    opened.part("baseline_yard")
    golden = next(row["baseline_id"] for row in opened.expected["champions"] if row["model"] == scenario.YARD)
    before = [event for event in opened.found["events"] if event["stream"] == scenario.YARD and "verdict" in event]
    found = opened.continued["verdicts"][scenario.YARD]
    figures = ("status", "drift_score", "p_value", "cause")
    assert {row["status"] for row in found} == {"FAIL"}
    assert {row["baseline_id"] for row in found} == {golden}
    assert [[row[name] for name in figures] for row in found] == [
        [event["verdict"][name] for name in figures] for event in before[: len(found)]
    ]


def test_nothing_is_retrained_before_the_wait_that_was_stored_is_over(opened: Opened) -> None:
    before = [event for event in opened.found["events"] if event["type"].startswith(scenario.PROMOTED)]
    assert opened.continued["promotions"] == len(before)


def test_fails_that_go_on_open_an_incident_and_those_that_waited_are_not_retrained(opened: Opened) -> None:
    with opened.store() as store:
        (incident,) = store.streams.incidents("gate/north")
        assert incident.state == "failing"
        assert incident.model == DEFAULT_MODEL
        assert incident.since >= opened.continued["verdicts"]["gate/north"][0]["start"], "it has no window of before"
        assert "gate/north" in store.champions.waiting(DEFAULT_MODEL), "which fails first, it or `yard`, is a race"
        lines = set(store.champions.models())
        assert all(store.champions.waiting_count(model) == 0 for model in lines)
        for model in lines:
            store.client.zadd("sentinel:retrain:due", {model: 1.0}, xx=True)
            store.champions.release(model)
        RetrainTrigger(store).step()
        assert [store.champions.due_at(model) for model in lines] == [None] * len(lines), "their waits are over"
        assert store.client.llen("retrain") == 0


def test_features_that_were_kept_as_evidence_can_still_be_read(opened: Opened) -> None:
    with opened.store() as store:
        kept = [store.client.get(key) for key in store.client.scan_iter("sentinel:*:evidence:*", count=1000)]
    assert kept
    for block in kept:
        assert len(FeatureBlock.from_bytes(block)) > 0


def test_healing_a_stream_with_an_old_baseline_is_refused_and_says_what_to_do(opened: Opened) -> None:
    """Golden triplets of before 0.3 are too small to train on; the baseline judges all the same."""
    notes: list[IncidentNote] = []
    kind = load_kind(DEFAULT_MODEL)
    with opened.store() as store:
        baselines = BaselineBinding(opened.settings, store)
        with pytest.raises(NothingToLearnFrom, match=r"rebuild the baseline with this version\. It still judges"):
            pooled_replay(store, opened.settings, baselines, DEFAULT_MODEL, kind)
        healer = Healer(
            store, opened.settings, baselines, DEFAULT_MODEL, kind, report=lambda *_: None, leave=notes.append
        )
        outcome = healer.heal(["gate/north"])
        assert not outcome.healed
        assert outcome.refused
        assert notes[-1].action.outcome.startswith("refused: ")
        assert store.champions.champion(DEFAULT_MODEL) is None


def test_the_model_begins_with_its_first_version_beside_the_old_lines(opened: Opened) -> None:
    kind = load_kind(DEFAULT_MODEL)
    with opened.store() as store:
        before = {model: store.champions.history(model) for model in store.champions.models()}
        model = kind.first_model(np.zeros((kind.fewest_examples, 3, *TRIPLET_SIZE, 3), np.uint8), seed=0)
        registry.register_first(store, DEFAULT_MODEL, model, None, opened.settings.state_dir)
        assert [record.version for record in store.champions.history(DEFAULT_MODEL)] == [1]
        assert {model: store.champions.history(model) for model in before} == before
        assert store.champions.models() == sorted([*before, DEFAULT_MODEL])


@pytest.mark.parametrize("stream", ["waiting", "mixed"])
def test_work_that_waited_in_the_queue_or_was_retried_is_judged(opened: Opened, stream: str) -> None:
    opened.same(opened.continued["verdicts"][stream], opened.expected["continued"]["verdicts"][stream])
