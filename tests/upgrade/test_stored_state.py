"""State that versions before this one stored is opened, read and gone on with, by way of what users have.

The sensors differ between those versions and this one, so a baseline of theirs can be shown and not be judged by. What
a user goes through is gone through here: streams wait and say what to do, the baselines are built again from their
golden footage, what was given up meanwhile is retried, and every frame that came is judged.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.compare_values import GONE, NUMBERS_OF_FORMATS, RENAMED
from common.baselines.binding import BaselineBinding
from common.baselines.storage import load_baseline
from common.contracts.incidents import IncidentNote
from common.errors import NothingToLearnFrom
from common.features import FeatureBlock
from common.models import registry
from common.models.healing import Healer
from common.models.kinds import load_kind
from common.models.names import DEFAULT_MODEL
from common.models.replay import pooled_replay
from common.models.vfi.first import starting_model
from common.settings import Settings
from common.store import Store
from consumers.retrain_trigger import RetrainTrigger
from tests.converted import share_backbones
from tests.upgrade import scenario
from tests.upgrade.footage import film, write_clip
from tests.upgrade.life import GOLDEN_FRAMES
from tests.upgrade.make_fixture import ARCHIVE, EXPECTED
from tests.upgrade.world import World, running_redis

FIXTURES = sorted(path.parent for path in (Path(__file__).parent / "fixtures").glob(f"*/{EXPECTED}"))
_FILMED: dict[str, dict[str, int]] = {"v0_1": {"width": 160, "height": 96}}
"""The size that golden footage had, which the fixtures leave out; `footage.film` has that of the later ones."""
_CRFS = {"v0_1": (4, 0)}
"""Of golden clips, where not 0 alone. 0.1's recordings are lossy and its stills are not, which today's sensors tell."""
_SEEDS = {scenario.GOLDEN: (1, 0), scenario.YARD: (4, 1)}  # moment and board, as in `life.make_footage`
_AS_BEFORE = ("waiting", "mixed", "gate/north")
"""Streams whose clips were judged by themselves, before and now: the same windows."""
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

    def __init__(self, fixture: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
        folder = tmp_path_factory.mktemp("another place") / "opened"
        written = (fixture / EXPECTED).read_text(encoding="utf-8")
        self.name = fixture.name
        self.made: dict[str, Any] = json.loads(written)["made"]
        self.expected: dict[str, Any] = json.loads(written.replace(self.made["root"], str(folder)))
        self.world: World = scenario.restore(fixture / ARCHIVE, self.made["root"], folder)
        share_backbones(tmp_path_factory, folder / "state")
        self.old_baselines = shutil.copytree(folder / "baselines", folder.with_name("old baselines"))
        self.found: dict[str, Any] = scenario.described(self.world)
        clip = str(self.world.footage / "clean.mp4")
        self.check: dict[str, Any] = self.world.json("check", clip, "--baseline", scenario.GOLDEN, codes=(3,))
        self.rebuilt: dict[str, str] = {}  # baseline -> its id
        self.continued = scenario.go_on(self.world, self.rebuild)
        self.settings = Settings(
            _env_file=None,
            state_dir=folder / "state",
            watch_dir=self.world.incoming,
            baselines_dir=folder / "baselines",
            allowed_roots=(folder,),
            baseline=scenario.GOLDEN,
            config=self.world.config if self.world.config.exists() else None,
        )  # type: ignore[call-arg]

    def rebuild(self, world: World) -> None:
        """Build each baseline again under its name, as the message says, from the golden footage that a user has."""
        for name in (scenario.GOLDEN, scenario.YARD) if scenario.has_yard(world) else (scenario.GOLDEN,):
            seed, board = _SEEDS[name]
            images = film(GOLDEN_FRAMES, seed=seed, board=board, **_FILMED.get(self.name, {}))
            clips = [
                str(write_clip(world.footage / f"{name}-{crf}.mp4", images, crf=crf))
                for crf in _CRFS.get(self.name, (0,))
            ]
            old = self.found["baseline"]
            as_before = {
                "SENTINEL_BACKBONE": old["feature_spec"]["backbone"],
                "SENTINEL_WINDOW_STRIDE": str(old["rule"]["stride"]),
            }
            world.run("baseline", "build", *clips, "--name", name, "--replace", **as_before)
            self.rebuilt[name] = load_baseline(world.folder / "baselines" / name).id

    def baseline_of(self, stream: str) -> str:
        """Return the name of the baseline that judges `stream`."""
        return scenario.YARD if stream in self.rebuilt else scenario.GOLDEN

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
        """Assert that all that was expected is there, to the last digit. What a newer version adds is not looked at."""
        differences = list(unlike(found, expected))
        assert not differences, "\n".join(differences)


def unlike(found: Any, expected: Any, *, place: str = "") -> Iterator[str]:
    """Yield a line for each value of `expected` that `found` has otherwise."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for was, value in expected.items():
            name = was if was in found else RENAMED.get(was, was)
            if was in NUMBERS_OF_FORMATS or (name not in found and was in GONE):
                continue
            if name not in found:
                yield f"{place}/{name} is gone"
            else:
                yield from unlike(found[name], value, place=f"{place}/{name}")
    elif isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            yield from unlike(one, other, place=f"{place}/{number}")
    elif isinstance(expected, str) and expected.startswith("{") and isinstance(found, str):
        yield from unlike(json.loads(found), json.loads(expected), place=place)
    elif found != expected:
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


def rebuild_command(name: str) -> str:
    return f"`sentinel baseline build FILES --name {name} --replace`"


def figures(verdicts: list[dict[str, Any]], *names: str) -> list[list[Any]]:
    """Return these figures of each verdict."""
    return [[row[name] for name in names] for row in verdicts]


_EARLIER = [pytest.param(path, id=path.name, marks=pytest.mark.slow) for path in FIXTURES[:-1]]


@pytest.fixture(scope="module", params=[*_EARLIER, pytest.param(FIXTURES[-1], id=FIXTURES[-1].name)])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return Opened(request.param, tmp_path_factory)


@pytest.mark.parametrize("baseline", ["baseline", "baseline_yard"])
def test_the_baseline_shows_as_it_was_built(opened: Opened, baseline: str) -> None:
    expected, found = opened.part(baseline), opened.found[baseline]
    opened.same(found, expected)
    embedding, quality = found["groups"]  # which 0.1 and 0.2 knew alone, and did not name
    assert (embedding["name"], embedding["size"]) == ("embedding", expected["embedding_size"])
    assert (quality["name"], quality["columns"]) == ("quality", expected["sensor_names"])
    assert quality["minimum_effects"] == expected.get("minimum_effects", expected.get("sensor_floors"))


def test_a_check_against_the_old_baseline_is_refused_and_says_what_to_do(opened: Opened) -> None:
    assert opened.check["error"] == "BaselineMismatch"
    assert "rebuild the baseline with this version" in opened.check["message"]
    assert rebuild_command(scenario.GOLDEN) in opened.check["message"]


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


def test_until_the_baseline_is_built_again_streams_wait_and_say_what_to_do(opened: Opened) -> None:
    reasons = {row["stream"]: row["reason"] for row in opened.continued.while_waiting["without_baseline"]}
    assert reasons.keys() >= opened.continued.frames.keys()
    for stream, reason in reasons.items():
        assert rebuild_command(opened.baseline_of(stream)) in reason
    assert opened.continued.while_waiting["verdicts"] == 0


def test_what_comes_in_meanwhile_is_kept_and_each_dead_letter_says_what_to_do(opened: Opened) -> None:
    known = {row["id"] for row in opened.expected["dead"]}
    letters = [row for row in opened.continued.while_waiting["dead"] if row["id"] not in known]
    letters = [row for row in letters if row["kind"] != "source"]  # a file that cannot be read, at its new place
    assert Counter(row["stream"] for row in letters if row["kind"] == "event") == {
        "half": scenario.STILLS - scenario.HALF,
        "full": scenario.STILLS - scenario.FULL,
        "unread": 1,
    }, "what was not sent by camera events waits in its folder"
    assert {(row["stream"], row["kind"]) for row in letters if row["kind"] != "event"} == {
        ("waiting", "chunk"),  # a worker of before was to embed it
        ("waiting", "task"),
    }
    for row in letters:
        assert "rebuild the baseline with this version" in row["reason"]
    (chunk,) = [row for row in letters if row["kind"] == "chunk"]
    assert "`sentinel dead retry`" in chunk["reason"]


def test_dead_letters_are_retried_and_what_fails_again_comes_back(opened: Opened) -> None:
    assert not [row for row in opened.continued.retried if "error" in row]
    of_before = {row["id"]: row["kind"] for row in opened.expected["dead"]}
    became = {of_before[row["id"]]: row["became"] for row in opened.continued.retried if row["id"] in of_before}
    mended = {kind: text.replace("duplicate", "accepted") for kind, text in became.items()}
    assert mended == opened.expected["continued"]["retried"]
    assert sorted({row["kind"] for row in opened.continued.left}) == opened.expected["continued"]["left"]
    assert not [row for row in opened.continued.left if "baseline" in row["reason"]]


def test_every_frame_that_came_is_counted_once(opened: Opened) -> None:
    came = {"half": scenario.STILLS + scenario.AGAIN, "full": scenario.STILLS + scenario.AGAIN, "unread": 1}
    for stream, (before, now) in opened.continued.frames.items():
        clip = scenario.CLIP_FRAMES if stream in {"waiting", "mixed", "gate/north", scenario.YARD} else 0
        assert now == came.get(stream, before + clip), stream


def test_every_frame_is_judged_by_the_new_baseline_and_clean_ones_pass(opened: Opened) -> None:
    failing = {"gate/north", scenario.YARD}
    for stream, (before, now) in opened.continued.frames.items():
        verdicts = opened.continued.verdicts[stream]
        if stream == "unread":
            assert not verdicts, "one frame fills no window"
            continue
        begin = {"half": scenario.HALF, "full": scenario.FULL}.get(stream, before)
        judged = {frame for row in verdicts for frame in range(row["start"], row["stop"])}
        assert judged == set(range(begin, now)), stream
        assert {row["status"] for row in verdicts} == {"FAIL" if stream in failing else "PASS"}, stream
        assert {row["baseline_id"] for row in verdicts} == {opened.rebuilt[opened.baseline_of(stream)]}


@pytest.mark.parametrize("stream", _AS_BEFORE)
def test_clips_are_judged_in_the_same_windows_as_the_old_version_did(opened: Opened, stream: str) -> None:
    found, expected = opened.continued.verdicts[stream], opened.expected["continued"]["verdicts"][stream]
    same = ("status", "start", "stop")
    assert figures(found, *same) == figures(expected, *same)


@pytest.mark.parametrize(("stream", "begin"), [("half", scenario.HALF), ("full", scenario.FULL)])
def test_a_window_never_mixes_features_of_two_versions(opened: Opened, stream: str, begin: int) -> None:
    """Frames of before that had not filled a window stay counted; the window begins anew behind them."""
    assert opened.continued.verdicts[stream][0]["start"] == begin


def test_evidence_of_the_old_baseline_confirms_nothing_under_the_new_one(opened: Opened) -> None:
    before, _ = opened.continued.frames["gate/north"]
    assert all(row["failing_since"] >= before for row in opened.continued.verdicts["gate/north"])


def test_a_stream_whose_champion_was_promoted_is_judged_by_golden_again(opened: Opened) -> None:
    """Before 0.3 a promotion widened the baseline, and this footage passed."""
    opened.part("baseline_yard")
    before = opened.expected["continued"]["verdicts"][scenario.YARD]
    now = opened.continued.verdicts[scenario.YARD]
    assert figures(now, "start", "stop") == figures(before, "start", "stop")
    assert {row["status"] for row in before} == {"PASS"}
    assert {row["status"] for row in now} == {"FAIL"}


def test_nothing_is_retrained_before_the_wait_that_was_stored_is_over(opened: Opened) -> None:
    before = [event for event in opened.found["events"] if event["type"].startswith(scenario.PROMOTED)]
    assert opened.continued.promotions == len(before)


def test_fails_that_go_on_open_an_incident_and_those_that_waited_are_not_retrained(opened: Opened) -> None:
    with opened.store() as store:
        (incident,) = store.streams.incidents("gate/north")
        assert incident.state == "failing"
        assert incident.model == DEFAULT_MODEL
        assert incident.since >= opened.continued.verdicts["gate/north"][0]["start"], "it has no window of before"
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
    notes: list[IncidentNote] = []
    kind = load_kind(DEFAULT_MODEL)
    settings = opened.settings.model_copy(update={"baselines_dir": opened.old_baselines})
    with opened.store() as store:
        baselines = BaselineBinding(settings, store)
        with pytest.raises(NothingToLearnFrom, match="rebuild the baseline with this version"):
            pooled_replay(store, settings, baselines, DEFAULT_MODEL, kind)
        healer = Healer(store, settings, baselines, DEFAULT_MODEL, kind, report=lambda *_: None, leave=notes.append)
        outcome = healer.heal(["gate/north"])
        assert not outcome.healed
        assert outcome.refused
        assert notes[-1].action.outcome.startswith("refused: ")
        assert store.champions.champion(DEFAULT_MODEL) is None


def test_the_model_begins_with_its_first_version_beside_the_old_lines(opened: Opened) -> None:
    with opened.store() as store:
        before = {model: store.champions.history(model) for model in store.champions.models()}
        registry.register_first(store, DEFAULT_MODEL, starting_model(), None, opened.settings.state_dir)
        assert [record.version for record in store.champions.history(DEFAULT_MODEL)] == [1]
        assert {model: store.champions.history(model) for model in before} == before
        assert store.champions.models() == sorted([*before, DEFAULT_MODEL])
