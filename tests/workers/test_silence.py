"""Silence from the sweep's question to the announcement, on real Redis, with a clock that the test moves."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from common import settings as settings_module
from common.contracts.events import IncidentChanged, IncidentClosed, IncidentOpened
from common.contracts.incidents import Incident, IncidentState
from common.contracts.verdicts import Cause
from common.errors import NotAccepted
from common.ingest.accept import Ingestor
from common.process_health import PROCESSES
from common.store import Store, keys
from common.store import batches as batch_store
from common.store.heartbeats import Heartbeat
from tests.common.builders import batch
from tests.common.drift.footage import footage
from workers import maintenance, reducer

NOW = 1.8e9
SWEEP = 10.0


@dataclass
class Site:
    """Cameras, and the sweeps that ask about them, at the time `now`."""

    ingestor: Ingestor
    store: Store
    now: float = NOW
    number: int = field(default=0)
    learned: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)

    def time(self) -> float:
        return self.now

    def send(self, stream: str = "dock", *, reduced: bool = True, frames: int = 12) -> None:
        """Let a batch of `stream` be accepted, and with `reduced` enter its window."""
        self.number += 1
        spec = self.ingestor.baselines.of_stream(stream).baseline.feature_spec
        work = batch(stream, name=str(self.number), frames=frames, chunk_frames=frames)
        work = work.model_copy(update={"feature_spec": spec})
        self.store.batches.register(work)
        self.store.batches.release(stream, 8)
        if reduced:
            self.finish(work.chunks()[0])

    def finish(self, chunk: object) -> None:
        self.store.chunks.finish(chunk, footage(12, seed=self.number))  # type: ignore[arg-type]
        reducer.reduce(chunk.stream)  # type: ignore[attr-defined]

    def sweep(self, seconds: float) -> None:
        """Let time go by, with a sweep every ten seconds and a reduction where it sends one."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(self.now + SWEEP, until)
            maintenance.sweep()
            for stream in self.store.streams.names():
                if self.store.streams.window(stream).notes:
                    reducer.reduce(stream)

    def live(self, seconds: float, stream: str = "dock", every: float = 10.0) -> None:
        """Let a camera send a batch every ten seconds."""
        for _ in range(int(seconds / every)):
            self.send(stream)
            self.sweep(every)

    def learn(self) -> None:
        """Let camera `dock` live for `LEARNED` seconds: once, and then let Redis hold what it held after that."""
        if not self.learned:
            self.live(LEARNED)
            for key in self.store.client.keys("*"):
                if not key.startswith(b"sentinel:process:"):
                    self.learned[key] = (self.store.client.dump(key), self.store.client.pttl(key))
            return
        for key, (value, left) in self.learned.items():
            self.store.client.restore(key, max(left, 0), value, replace=True)
        self.number += int(LEARNED / SWEEP)
        self.now += LEARNED

    def told(self) -> list[tuple[str, Incident]]:
        kinds = (IncidentOpened, IncidentChanged, IncidentClosed)
        found = [event for event in self.store.event_log.events() if isinstance(event, kinds)]
        return [(event.type.value.split(".")[3], event.incident) for event in found]


@pytest.fixture
def heartbeats(store: Store, ingestor: Ingestor) -> Callable[[str], None]:
    url = ingestor.settings.redis_url
    assert url is not None

    def beat(*names: str) -> None:
        for name in names:
            Heartbeat(url, name).beat()

    beat(*(process.name for process in PROCESSES if process.hears))
    return beat


@pytest.fixture(scope="module")
def learned() -> dict[bytes, tuple[bytes, int]]:
    """What Redis holds of a camera that has lived, by its key, with the milliseconds left to it; see `Site.learn`."""
    return {}


@pytest.fixture
def site(
    ingestor: Ingestor,
    store: Store,
    heartbeats: object,
    learned: dict[bytes, tuple[bytes, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> Site:
    made = Site(ingestor, store, learned=learned)
    every_way_in = {
        "http_tokens": Path("tokens"),
        "mqtt_in_topics": ("cameras/{stream}",),
        "watch_objects": ("s3://bucket/cameras",),
    }
    store.settings = store.settings.model_copy(update=every_way_in)
    own = ingestor.settings.model_copy(update={"offline_seconds": 20.0})
    monkeypatch.setattr(reducer, "get_settings", lambda: own)
    monkeypatch.setattr(maintenance, "get_settings", lambda: own)
    monkeypatch.setattr(maintenance.time, "time", made.time)
    monkeypatch.setattr(batch_store.time, "time", made.time)
    return made


LEARNED = 700.0  # more than thirty times SENTINEL_OFFLINE_SECONDS
ALLOWED = 3 * 2 ** (14 / 4) + 2 * SWEEP  # gaps of ten seconds, rounded up


def test_a_camera_that_stops_is_announced_once_and_once_when_it_is_back(site: Site) -> None:
    site.learn()
    site.sweep(ALLOWED)
    assert [(kind, incident.state) for kind, incident in site.told()] == [("opened", IncidentState.OFFLINE)]
    site.sweep(500)
    assert len(site.told()) == 1
    last = site.told()[0][1].since_time
    assert last == NOW + LEARNED - 10
    site.send()
    site.sweep(20)
    kind, incident = site.told()[-1]
    assert (len(site.told()), kind, incident.state, incident.cause) == (
        2,
        "closed",
        IncidentState.CLOSED,
        Cause.OFFLINE,
    )
    assert incident.ended.startswith("frames come again, it was offline for ")
    site.live(100)
    site.sweep(ALLOWED)
    assert (site.told()[-1][0], site.told()[-1][1].times_this_week) == ("changed", 2)


def test_a_blip_a_single_file_and_few_files_are_nothing(site: Site) -> None:
    site.learn()
    site.sweep(20)
    site.live(100)
    site.send("by hand")
    for _ in range(5):
        site.send("few")
        site.sweep(20)
        site.send("dock")
    for _ in range(60):
        site.send("dock")
        site.sweep(10)
    assert site.told() == []


def test_a_stream_with_work_that_waits_is_late_not_silent(site: Site) -> None:
    site.learn()
    site.send(reduced=False)
    site.sweep(1000)
    assert site.told() == []


@pytest.mark.parametrize("name", [row.name for row in PROCESSES if row.hears and not row.only_with_cameras])
def test_while_a_process_that_accepts_sources_is_away_nobody_knows(
    site: Site, heartbeats: Callable[[str], None], name: str
) -> None:
    site.learn()
    site.store.client.delete(*site.store.client.keys(f"sentinel:process:{name}:*"))
    site.sweep(1000)
    assert site.told() == []
    heartbeats(name)
    site.sweep(30)
    assert site.told() == [], "silence counts from when it came back"
    site.sweep(ALLOWED)
    assert len(site.told()) == 1


def test_after_a_time_without_sweeps_silence_counts_anew(site: Site) -> None:
    site.learn()
    site.now += 10_000
    site.sweep(30)
    assert site.told() == []
    site.sweep(ALLOWED)
    assert len(site.told()) == 1


def live_camera(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let stream dock have a `url`."""
    config = tmp_path / "live.toml"
    config.write_text('[streams.dock]\nurl = "rtsp://127.0.0.1:9/cam"\n')
    own = maintenance.get_settings().model_copy(update={"config": config})
    site.store.settings = own
    for module in (reducer, maintenance):
        monkeypatch.setattr(module, "get_settings", lambda: own)


def test_a_live_camera_is_missed_at_once_for_its_rhythm_has_not_to_be_learned(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    site.live(60, stream="by hand")
    site.sweep(100)
    assert site.told() == [], "so little is no rhythm"
    live_camera(site, monkeypatch, tmp_path)
    site.live(30)
    site.sweep(10)
    assert site.told() == []
    site.sweep(20 + SWEEP)
    assert [(kind, incident.state) for kind, incident in site.told()] == [("opened", IncidentState.OFFLINE)]
    site.send()
    site.sweep(10)
    assert (site.told()[-1][0], site.told()[-1][1].state) == ("closed", IncidentState.CLOSED)


def test_while_the_process_that_fetches_live_cameras_is_away_nobody_knows(
    site: Site, heartbeats: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    live_camera(site, monkeypatch, tmp_path)
    site.live(60)
    site.store.client.delete(*site.store.client.keys("sentinel:process:rtsp:*"))
    site.sweep(300)
    assert site.told() == []
    heartbeats("rtsp")
    site.sweep(60)
    assert len(site.told()) == 1


def test_while_producers_wait_for_room_nobody_knows(site: Site) -> None:
    site.learn()
    site.store.settings = site.store.settings.model_copy(update={"backlog_mb": 1})
    site.store.client.set("much", b"x" * 3_000_000)
    site.sweep(1000)
    assert site.told() == []


def test_a_stream_that_waits_for_a_baseline_is_not_listened_to(site: Site) -> None:
    site.learn()
    site.store.golden.note_waiting("dock", "no baseline")
    site.sweep(1000)
    assert site.told() == []


def test_state_of_a_version_that_knew_no_rhythm_does_not_alarm(site: Site) -> None:
    site.learn()
    site.store.client.delete(keys.stream_key("dock", "rhythm"), keys.LISTENING)
    site.sweep(2000)
    assert site.told() == []
    site.live(LEARNED)
    site.sweep(ALLOWED)
    assert len(site.told()) == 1


def test_a_stream_has_seconds_of_its_own_and_nobody_asks_where_they_are_0(site: Site) -> None:
    file = settings_module.DEFAULT_CONFIG
    file.write_text("[streams.gate]\noffline_seconds = 0\n")
    for _ in range(int(LEARNED / 10)):
        site.send("dock")
        site.send("gate")
        site.sweep(10)
    site.sweep(1000)
    assert [incident.stream for _, incident in site.told()] == ["dock"]


def test_a_silence_ends_when_nobody_asks_about_it_any_more(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.learn()
    site.sweep(ALLOWED)
    none = maintenance.get_settings().model_copy(update={"offline_seconds": 0.0})
    monkeypatch.setattr(maintenance, "get_settings", lambda: none)
    site.sweep(1000)
    assert [kind for kind, _ in site.told()] == ["opened", "closed"]
    assert "nobody asks about its silence any more" in site.told()[-1][1].ended


def test_under_a_mute_it_is_opened_muted_and_announced_once_the_mute_is_over(site: Site) -> None:
    mute = keys.stream_key("dock", "mute")
    site.learn()
    site.store.client.set(mute, json.dumps({"until": site.now + 10_000, "by": "ida", "at": site.now}))
    site.sweep(ALLOWED)
    assert [(kind, incident.muted) for kind, incident in site.told()] == [("opened", True)]
    site.store.client.delete(mute)
    reducer.reduce("dock")
    assert [(kind, incident.muted) for kind, incident in site.told()] == [("opened", True), ("opened", False)]


def test_a_forgotten_stream_is_asked_about_no_more(site: Site) -> None:
    site.learn()
    site.store.forgetting.forget("dock")
    site.sweep(1000)
    assert site.told() == []
    assert site.store.client.keys("*dock*") == []


def test_a_broken_configuration_stops_the_question_and_nothing_else(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.learn()
    file = settings_module.DEFAULT_CONFIG
    own = maintenance.get_settings().model_copy(update={"config": file.with_name("gone.toml")})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maintenance, "get_settings", lambda: own)
        site.store.batches.register(batch("gate"))
        assert maintenance.sweep() > 0
    assert "nobody asks about silence" in caplog.text


def test_a_silence_is_no_footage_to_accept_or_to_train_on(site: Site) -> None:
    from common.baselines.acceptance import propose
    from common.baselines.binding import BaselineBinding

    site.learn()
    site.sweep(ALLOWED)
    (incident,) = site.store.streams.open_incidents("dock")
    binding = BaselineBinding(site.ingestor.settings, site.store)
    with pytest.raises(NotAccepted, match="no open incident"):
        propose(site.store, binding, "dock")
    with pytest.raises(NotAccepted, match=r"is a silence .* it is closed once frames come"):
        propose(site.store, binding, "dock", incident.id[:8])
    assert incident.state is not IncidentState.FAILING, "which is what a retraining works on"


def test_frames_of_an_offline_camera_that_fail_close_the_silence_and_open_an_incident_of_their_own(site: Site) -> None:
    site.learn()
    site.sweep(ALLOWED)
    site.send(frames=48, reduced=False)
    (chunk,) = site.store.batches.overdue("dock", -1e6, 8)
    features = footage(48, seed=5, noise=2.0)
    site.store.chunks.finish(chunk, features)
    reducer.reduce("dock")
    assert [(kind, incident.cause is Cause.OFFLINE) for kind, incident in site.told()] == [
        ("opened", True), ("closed", True), ("opened", False),
    ]  # fmt: skip
