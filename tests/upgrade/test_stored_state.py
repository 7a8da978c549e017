"""State that versions before this one stored is opened, read and gone on with, by way of what users have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.compare_values import RENAMED
from tests.upgrade import scenario
from tests.upgrade.make_fixture import ARCHIVE, EXPECTED, libraries, processor
from tests.upgrade.world import World

FIXTURES = sorted(path.parent for path in (Path(__file__).parent / "fixtures").glob(f"*/{EXPECTED}"))
_OTHER_MACHINE = 0.02  # how far a score may be off where other instructions or libraries make the features
_TOLERANT = ("drift_score", "p_value", "distance", "bound", "shift", "baseline_value", "window_value")


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

    def part(self, name: str) -> Any:
        """Return a part of what was expected; 0.1's fixture has a single line of champions, and nothing of another."""
        if name not in self.expected:
            pytest.skip(f"this fixture has no {name}")
        return self.expected[name]

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
    expected = opened.part(baseline)
    opened.same(opened.found[baseline], expected)


@pytest.mark.parametrize("check", ["check", "check_mild", "check_yard"])
def test_a_check_against_the_old_baseline_gives_the_same_verdict(opened: Opened, check: str) -> None:
    expected = opened.part(check)
    opened.same(opened.found[check], expected)


def test_status_shows_the_same_streams_and_verdicts(opened: Opened) -> None:
    found, expected = opened.found["status"], dict(opened.expected["status"])
    if "champions" in expected:  # by 0.1: what was a version per model is a model's whole status now
        assert {row["model"]: row["version"] for row in found["models"]} == expected.pop("champions")
    # Streams come in the order of their latest frames, and 0.1 had another one.
    by_name = {row["stream"]: row for row in found["streams"]}
    opened.same([by_name[row["stream"]] for row in expected["streams"]], expected.pop("streams"))
    opened.same(found, expected)


def test_every_event_is_there_and_says_the_same(opened: Opened) -> None:
    # Sources in events are for people and stay as they were, see `relocation`.
    written = json.dumps(opened.expected["events"]).replace(str(opened.world.folder), opened.made["root"])
    opened.same(opened.found["events"], [by_subject(event) for event in json.loads(written)])


def test_the_champions_have_the_same_history(opened: Opened) -> None:
    opened.same(opened.found["champions"], opened.expected["champions"])


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


def test_a_stream_whose_champion_was_promoted_is_judged_by_the_widened_baseline(opened: Opened) -> None:
    opened.part("baseline_yard")
    found, expected = (side["verdicts"][scenario.YARD] for side in (opened.continued, opened.expected["continued"]))
    assert {row["status"] for row in found} == {"PASS"}, "it failed by the golden baseline before the promotion"
    opened.same(found, expected)


def test_nothing_is_retrained_before_the_wait_that_was_stored_is_over(opened: Opened) -> None:
    before = [event for event in opened.found["events"] if event["type"].startswith(scenario.PROMOTED)]
    assert opened.continued["promotions"] == len(before)


@pytest.mark.parametrize("stream", ["waiting", "mixed"])
def test_work_that_waited_in_the_queue_or_was_retried_is_judged(opened: Opened, stream: str) -> None:
    opened.same(opened.continued["verdicts"][stream], opened.expected["continued"]["verdicts"][stream])
