"""`sentinel champions at | diff`: who was champion when, by whatever clock, and in what two versions differ."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import typer

from common.models.registry import promote_by_hand, release, roll_back
from common.models.vfi.first import starting_model
from common.models.vfi.model import Interpolator
from common.store import Store
from sentinel.cli.moments import moment
from tests.common.builders import condition_record, record
from tests.common.models.lines import on_all, on_none
from tests.sentinel.cli.conftest import CommandLine

NOISE, FOG = condition_record("noise"), condition_record("fog")
NOON = datetime.fromisoformat("2026-11-29T12:00:00+00:00").timestamp()


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_berlin")
@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("12:30", "2026-11-29T11:30:00+00:00"),
        ("13:00", "2026-11-29T12:00:00+00:00"),
        ("14:05", "2026-11-28T13:05:00+00:00"),
        ("14:05+05:00", "2026-11-29T09:05:00+00:00"),
        ("23:30Z", "2026-11-28T23:30:00+00:00"),
        ("2026-11-28 14:05", "2026-11-28T13:05:00+00:00"),
        ("2026-07-01 14:05", "2026-07-01T12:05:00+00:00"),
        ("2026-11-29T11:05:00Z", "2026-11-29T11:05:00+00:00"),
        ("2026-11-29T14:05:00+05:00", "2026-11-29T09:05:00+00:00"),
        ("2026-11-28", "2026-11-27T23:00:00+00:00"),
    ],
)
def test_a_moment_is_read_as_people_write_it(text: str, meant: str) -> None:
    assert moment(text, NOON) == datetime.fromisoformat(meant).timestamp()


@pytest.mark.parametrize("text", ["", "noon", "25:00", "2026-11-30 08:00", "9999-12-31T23:59:59Z", "1e9"])
def test_what_is_no_moment_or_has_not_come_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"is no time: say|has not come yet"):
        moment(text, NOON)


def line_of_three(store: Store, folder: Path) -> None:
    """Champions at 100 s (starting weights), 200 s (one convolution changed), and by a rollback now."""
    first = starting_model()
    weights = list(first.weights)
    weights[2] = weights[2] + np.float32(np.sqrt(np.mean(np.concatenate([w.ravel() for w in weights[2:4]]) ** 2)))
    for number, model, conditions in ((1, first, ()), (2, Interpolator(tuple(weights)), (NOISE, FOG))):
        place = folder / f"v{number}" / "model"
        model.save(place)
        made = record(
            number, parent=number - 1 or None, model_path=str(place), model_digest=model.digest, conditions=conditions
        )
        assert store.champions.promote(made.model_copy(update={"created_at": 100.0 * number}), over=number - 1)


def test_who_was_champion_is_told_across_a_rollback_a_hold_and_a_choice(
    sentinel: CommandLine, store: Store, tmp_path: Path
) -> None:
    line_of_three(store, tmp_path)
    roll_back(store, "vfi", on_none, by="ada")
    release(store, "vfi")
    promote_by_hand(store, "vfi", 2, on_all, by="ada")

    def at(when: str) -> dict[str, object]:
        found = json.loads(sentinel.run("champions", "at", "vfi", when, "--json").stdout)
        return {"version": found["champion"]["version"], "until": found["until"]}

    third, fourth = store.champions.history("vfi")[2:]
    assert at("1970-01-01T00:02:00Z") == {"version": 1, "until": 200.0}
    assert at("1970-01-01T00:03:20Z") == {"version": 2, "until": third.created_at}
    assert at(datetime.now().astimezone().isoformat()) == {"version": 4, "until": None}
    said = sentinel.run("champions", "at", "vfi", "1970-01-01T00:03:20Z").stdout
    assert said.startswith("vfi v2 was champion at 1970-01-01 00:03:20Z\nit was since 1970-01-01 00:03:20Z, until ")
    assert "proved on 2 conditions" in said
    assert fourth.reason in sentinel.run("champions", "at", "vfi", datetime.now().isoformat()).stdout


def test_before_the_first_champion_and_for_no_time_there_is_no_answer(
    sentinel: CommandLine, store: Store, tmp_path: Path
) -> None:
    line_of_three(store, tmp_path)
    early = sentinel.run("champions", "at", "vfi", "1970-01-01T00:00:01Z")
    assert early.code == 3
    assert "had no champion yet then: v1 was its first" in early.stderr
    assert sentinel.run("champions", "at", "vfi", "tomorrow").code == 2
    assert sentinel.run("champions", "at", "nobody", "14:05").code == 3


def test_two_versions_differ_in_one_layer_and_two_conditions(
    sentinel: CommandLine, store: Store, tmp_path: Path
) -> None:
    line_of_three(store, tmp_path)
    found = json.loads(sentinel.run("champions", "diff", "vfi", "1", "v2", "--json").stdout)
    (layer,) = found["layers"]
    assert layer["layer"].startswith("convolution 2 (3 x 3, ")
    assert layer["largest"] == pytest.approx(1.0, rel=1e-4)
    assert 0.9 < layer["mean"] < 1.0, "the bias, which is a part of the layer, is as it was"
    assert [row["id"] for row in found["gained"]] == [NOISE.id, FOG.id]
    assert (found["kept"], found["lost"], found["same_weights"], found["unknown"]) == ([], [], False, [])
    backwards = json.loads(sentinel.run("champions", "diff", "vfi", "2", "1", "--json").stdout)
    assert backwards == found, "from the older to the newer, however it is asked"
    said = sentinel.run("champions", "diff", "vfi").stdout
    assert "convolution 2 (3 x 3" in said
    assert "conditions lost: none" in said


def test_a_rollback_has_the_same_weights_and_says_which_conditions_went(
    sentinel: CommandLine, store: Store, tmp_path: Path
) -> None:
    line_of_three(store, tmp_path)
    roll_back(store, "vfi", lambda version, conditions: [row for row in conditions if row.id == FOG.id], by="ada")
    said = sentinel.run("champions", "diff", "vfi", "2", "3").stdout
    assert f"conditions kept: noise of dock ({FOG.id[:12]})" in said
    assert f"conditions lost: noise of dock ({NOISE.id[:12]})" in said
    assert "their weights are the same" in sentinel.run("champions", "diff", "vfi", "1", "champion").stdout
    nowhere = sentinel.run("champions", "diff", "vfi", "1", "9")
    assert nowhere.code == 3
    assert "has no version '9' (there are: v1, v2, v3)" in nowhere.stderr


def test_what_cannot_be_read_is_named_and_the_rest_is_told(sentinel: CommandLine, store: Store, tmp_path: Path) -> None:
    line_of_three(store, tmp_path)
    replace(starting_model(), weights=starting_model().weights).save(tmp_path / "v2" / "model")  # copied over it
    done = sentinel.run("champions", "diff", "vfi", "1", "2")
    assert done.code == 0
    assert "is not the one that became v2 of 'vfi'" in done.stdout
    assert "conditions gained: noise of dock" in done.stdout


def test_a_version_that_was_copied_over_is_not_rolled_back_to(
    sentinel: CommandLine, store: Store, tmp_path: Path
) -> None:
    """Its folder is whole, so that its kind finds nothing wrong with it, and no condition has to be proved."""
    line_of_three(store, tmp_path)
    assert store.champions.promote(
        record(3, parent=2, model_path=str(tmp_path / "v2" / "model"), model_digest="w3"), over=2
    )
    before = store.champions.history("vfi")
    done = sentinel.run("champions", "promote", "vfi", "3")
    assert done.code == 3
    assert "is not the one that became v3 of 'vfi': restore it" in done.stderr
    assert store.champions.history("vfi") == before
    assert store.champions.held("vfi") is None
