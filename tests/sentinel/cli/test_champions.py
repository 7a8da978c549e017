"""`sentinel champions`: versions, the conditions that the champion is proved on, and what a rollback says of them."""

from __future__ import annotations

import json

import pytest

from common.settings import get_settings
from common.store import Store
from tests.common.builders import condition_record, record
from tests.sentinel.cli.conftest import CommandLine

NOISE, ELSEWHERE = (
    condition_record("noise", proved=1000.0, expires=2000.0),
    condition_record("n", stream="site/gate"),
)  # expires in the year 33658


@pytest.fixture
def line(store: Store) -> None:
    """A model of two versions, of which the second is proved on two conditions. Their footage is not there."""
    for number, conditions in ((1, ()), (2, (NOISE, ELSEWHERE))):
        new = record(
            number,
            parent=number - 1 or None,
            model_path=f"/v{number}",
            model_digest=f"w{number}",
            conditions=conditions,
        )
        assert store.champions.promote(new, over=number - 1)


@pytest.mark.usefixtures("line")
def test_a_champion_is_shown_with_the_conditions_that_it_is_proved_on(sentinel: CommandLine) -> None:
    first, before, heading, noise, elsewhere = sentinel.run("champions", "show", "vfi").stdout.splitlines()
    assert first.startswith("vfi v2 is champion since 1970-01-01")
    assert before == "previous: v1 of 1970-01-01 00:00:00Z, to which a rollback goes"
    assert heading.split()[:3] == ["condition", "stream", "cause"]
    for text in (NOISE.id[:12], "dock", "noise", "0.50", "1970-01-01 00:16:40Z", "1970-01-01 00:33:20Z"):
        assert text in noise
    assert "site/gate" in elsewhere
    shown = json.loads(sentinel.run("champions", "show", "vfi", "--json").stdout)
    rows = [{key: row[key] for key in ("id", "stream", "cause", "proved", "expires")} for row in shown["conditions"]]
    assert rows[0] == {"id": NOISE.id, "stream": "dock", "cause": "noise", "proved": 1000.0, "expires": 2000.0}
    assert rows[1]["stream"] == "site/gate"


@pytest.mark.usefixtures("line")
def test_the_list_counts_the_conditions_of_each_version(sentinel: CommandLine) -> None:
    rows = [line.split() for line in sentinel.run("champions", "list").stdout.splitlines()]
    assert rows[0][:3] == ["model", "version", "role"]
    assert [row[2] for row in rows[1:]] == ["previous", "champion"]
    assert [(row[1], row[-2]) for row in rows[1:]] == [("v1", "0"), ("v2", "2")]
    listed = json.loads(sentinel.run("champions", "list", "--json").stdout)
    assert [(row["version"], len(row["conditions"]), row["held"]) for row in listed] == [(1, 0, False), (2, 2, False)]
    assert [row["role"] for row in listed] == ["previous", "champion"]


def test_a_champion_that_is_proved_on_nothing_says_so(sentinel: CommandLine, store: Store) -> None:
    assert "no champions yet" in sentinel.run("champions", "list").stdout
    assert store.champions.promote(record(1), over=0)
    assert "golden baseline alone" in sentinel.run("champions", "show", "vfi").stdout
    missing = sentinel.run("champions", "show", "x")
    assert missing.code == 3
    assert "there is no model 'x' (there are: vfi)" in missing.stderr


@pytest.mark.usefixtures("line")
def test_a_version_whose_weights_are_gone_is_not_rolled_back_to(sentinel: CommandLine, store: Store) -> None:
    before = store.champions.champion("vfi")
    done = sentinel.run("champions", "rollback", "vfi")
    assert done.code == 3
    assert "missing or damaged" in done.stderr and "Traceback" not in done.stderr
    assert store.champions.champion("vfi") == before
    assert store.champions.held("vfi") is None


@pytest.mark.usefixtures("line")
def test_show_says_where_the_evidence_of_the_gate_is(sentinel: CommandLine, store: Store) -> None:
    kept = get_settings().state_dir.resolve() / "champions" / "vfi"
    promoted = record(3, parent=2, model_path="/v3", model_digest="w3").model_copy(
        update={"decision": str(kept / "d1-1000")}
    )
    assert store.champions.promote(promoted, over=2)
    assert f"why it was promoted: {kept / 'd1-1000'}" in sentinel.run("champions", "show", "vfi").stdout
    (kept / "d2-2000").mkdir(parents=True)
    assert "d2-2000 is missing or damaged" in sentinel.run("champions", "show", "vfi").stdout
