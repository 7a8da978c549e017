"""`sentinel dead`: hundreds of letters can be read, chosen from, and tried again."""

from __future__ import annotations

import json

from common.contracts.batches import SourceRequest
from common.contracts.dead_letters import DeadLetterKind
from common.errors import BadMessage, BadSource
from common.store import Store, keys
from common.store.event_log import dead_letter
from common.store.ingest import RawEntry
from tests.sentinel.cli.conftest import CommandLine


def refuse(store: Store, stream: str, path: str, reason: str) -> str:
    letter = dead_letter(
        DeadLetterKind.SOURCE, stream, path, BadSource(f"{path} {reason}"), SourceRequest(stream=stream, uri=path)
    )
    store.event_log.bury(letter)
    return letter.id


def fill(store: Store) -> None:
    for number in range(30):
        refuse(store, f"cam{number % 5}", f"/in/cam {number}.mp4", f"has {number} pixels per line")
    for number in range(3):
        refuse(store, "site/a", f"/in/{number}.png", "is empty")
    store.event_log.bury(
        dead_letter(
            DeadLetterKind.EVENT, "", "event x", BadMessage("no specversion"), RawEntry.of({b"id": b"x"}, keys.INGEST)
        )
    )


def test_a_pipe_gets_them_summed_up_by_reason_and_a_terminal_one_by_one(sentinel: CommandLine, store: Store) -> None:
    fill(store)
    _, *lines = sentinel.run("dead", "list").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["30", "source"], ["3", "source"], ["1", "event"]]
    assert "pixels per line" in lines[0] and "cam0, cam1, cam2 and 2 more" in lines[0]
    assert "is empty" in lines[1] and "site/a" in lines[1]
    assert "no specversion" in lines[2]
    each = sentinel.run("dead", "list", width=80).stdout.splitlines()
    assert len(each) == 35
    assert all(len(line) <= 80 for line in each)
    assert len(sentinel.run("dead", "list", "--each").stdout.splitlines()) == 35
    assert len(sentinel.run("dead", "list", "--summary", width=80).stdout.splitlines()) == 4


def test_they_are_chosen_by_stream_and_counted_as_json(sentinel: CommandLine, store: Store) -> None:
    fill(store)
    assert len(json.loads(sentinel.run("dead", "list", "--json").stdout)) == 34
    assert len(json.loads(sentinel.run("dead", "list", "--json", "--stream", "cam*").stdout)) == 30
    (group,) = json.loads(sentinel.run("dead", "list", "--json", "--summary", "--stream", "site/a").stdout)
    assert (group["count"], group["kind"], group["streams"]) == (3, "source", ["site/a"])
    assert json.loads(sentinel.run("status", "--json").stdout)["dead_letters"] == 34


def test_an_event_is_put_back_and_its_dead_letter_dropped(sentinel: CommandLine, store: Store) -> None:
    letter = dead_letter(
        DeadLetterKind.EVENT, "", "event x", BadMessage("bad"), RawEntry.of({b"id": b"\xff"}, keys.INGEST)
    )
    store.event_log.bury(letter)
    done = sentinel.run("dead", "retry", letter.id[:6], "--json")
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout) == [
        {"id": letter.id, "kind": "event", "subject": "event x", "became": "put on sentinel:ingest again"}
    ]
    ((_, fields),) = store.client.xrange(keys.INGEST)
    assert fields == {b"id": b"\xff"}
    assert store.event_log.dead_letter_count() == 0


def test_what_fails_again_stays_and_says_why(sentinel: CommandLine, store: Store) -> None:
    refuse(store, "cam7", "/nowhere/x.mp4", "is empty")
    done = sentinel.run("dead", "retry", "--all", "--json")
    (result,) = json.loads(done.stdout)
    assert result["became"] == "rejected"
    assert store.event_log.dead_letter_count() >= 1


def test_one_or_all_must_be_named(sentinel: CommandLine, store: Store) -> None:
    fill(store)
    for command in ("retry", "drop"):
        assert sentinel.run("dead", command).code == 2
        assert sentinel.run("dead", command, "x", "--all").code == 2
    assert sentinel.run("dead", "drop", "zzz").code == 3
    dropped = json.loads(sentinel.run("dead", "drop", "--all", "--json").stdout)
    assert len(dropped) == 34
    assert store.event_log.dead_letter_count() == 0
