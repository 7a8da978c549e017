"""What the command line says of truth: in incidents, events, `status` and `streams show`."""

from __future__ import annotations

import json
import time

import pytest

from common.contracts.incidents import IncidentNote, NoteKind
from common.contracts.truth import TruthVerdict
from common.store import Store, keys
from common.store.truth import TrackMoved, TruthCommitted
from tests.common.store.test_incidents import commit_to
from tests.sentinel.cli.conftest import CommandLine
from tests.sentinel.cli.names import WORST, obeyed
from tests.truth import row, verdict


def judged(store: Store, *verdicts: TruthVerdict, model: str = "v3") -> None:
    """Commit verdicts as the process `truth` does, and let the reducer's step apply what they leave."""
    store.client.zadd(keys.STREAMS, {"dock": time.time()})
    for number, said in enumerate(verdicts):
        store.truth.take("dock", model, said.score.measure, row(1000 * number + said.start, 1.0))
        read = store.truth.read("dock")
        (track,) = read.tracks
        assert track.progress is not None
        progress = track.progress.model_copy(update={"reference_rows": 40, "judged_rows": said.stop, "last": said})
        moved = TrackMoved(track.id, "{}", progress, (said,), ())
        assert store.truth.commit("dock", read, [moved]) is TruthCommitted.DONE
    commit_to(store, "dock")


FAILS = (verdict(0, fails=True), verdict(1, fails=True, confirmed=True, since=0))


@pytest.mark.parametrize(
    ("healed_as", "advice"), [("", "the model is yours: look at"), ("vfi", "the camera is as it was and the model")]
)
def test_an_incident_of_truth_says_its_numbers_and_whose_hand_it_wants(
    sentinel: CommandLine, store: Store, healed_as: str, advice: str
) -> None:
    said = [each.model_copy(update={"score": each.score.model_copy(update={"healed_as": healed_as})}) for each in FAILS]
    judged(store, *said)
    (listed,) = json.loads(sentinel.run("incidents", "list", "--json").stdout)
    assert (listed["cause"], listed["state"], listed["by_truth"]) == ("model_decay", "failing", True)
    assert listed["truth"]["now"] == 0.5
    shown = sentinel.run("incidents", "show", listed["id"][:8], width=200).stdout
    assert "truth     the model does worse: right on 50% of 10 frames, reference 92%, model v3" in shown
    assert f"calls for {advice}" in shown
    assert "windows   2 of truth failed" in shown
    assert "latest window of truth that fails" in shown
    assert "golden baseline" not in shown
    assert "model_decay" in sentinel.run("incidents", "list", width=200).stdout


def test_events_status_and_the_stream_say_how_truth_stands(sentinel: CommandLine, store: Store) -> None:
    judged(store, *FAILS)
    said = "the model does worse: right on 50% of 10 frames, reference 92%, model v3"
    events = sentinel.run("events", "--type", "truth", width=300).stdout
    assert f"FAIL, score 0.60, p 0.01, confirmed, {said}" in events
    for command in (("status",), ("streams", "show", "dock")):
        shown = sentinel.run(*command, width=300).stdout
        assert f"model v3, correct: reference of 40 rows, 20 judged, 2 wait; FAIL, {said}" in shown
        found = json.loads(sentinel.run(*command, "--json").stdout)
        stream = found["streams"][0] if command == ("status",) else found
        assert stream["truth"][0]["last"]["confirmed"] is True


def test_a_version_that_is_called_like_markup_is_shown_as_it_is(sentinel: CommandLine, store: Store) -> None:
    version = WORST.replace("\n", "")
    said = [each.model_copy(update={"score": each.score.model_copy(update={"model": version})}) for each in FAILS]
    judged(store, *said, model=version)
    for command in (("status",), ("events",), ("incidents", "list"), ("streams", "show", "dock")):
        done = sentinel.run(*command, width=300)
        assert "Traceback" not in done.stderr and obeyed(done.stdout + done.stderr) == ""
        assert done.code == 0, done.stderr


def test_a_note_says_one_thing() -> None:
    for fields in ({}, {"truth": FAILS[0], "kind": NoteKind.ACTION}):
        with pytest.raises(ValueError, match="and nothing else"):
            IncidentNote.model_validate(
                {"id": "n", "stream": "dock", "kind": NoteKind.TRUTH, "incident": None, **fields}
            )
