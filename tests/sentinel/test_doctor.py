"""What `sentinel doctor` sees, and that looking changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.broker import make_app
from common.camera_tokens import OBJECT_EVENTS, add_token
from common.contracts.processes import ProcessState
from common.processes import wanted_processes
from common.redis_users import CAMERA, TRUTH, camera_user
from common.settings import Settings, get_settings
from common.store import Store, keys
from common.store.heartbeats import Heartbeat, new_start_id, note_exit
from sentinel import doctor, doctor_redis_access
from sentinel.doctor import examine
from sentinel.findings import Finding
from sentinel.stack.redis_server import RedisServer, free_port
from tests.bare_redis import bare_redis
from tests.common.baselines.small import small_baseline
from tests.objects import ObjectServer, object_server, objects, reaching, use_credentials

__all__ = ["object_server", "objects"]  # fixtures

GREATEST_ID = "18446744073709551615-18446744073709551615"


@pytest.fixture
def connected(settings: Settings, redis_server: RedisServer, store: Store) -> Settings:
    """Settings that name the test's Redis, which is empty."""
    return settings.model_copy(update={"redis_url": redis_server.url})


def found(settings: Settings) -> dict[str, Finding]:
    return {finding.what: finding for finding in examine(settings)}


def test_with_nothing_set_it_makes_no_folder_and_fetches_no_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(*_: object) -> None:
        raise AssertionError("a backbone was loaded without need")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "load_backbone", fetch)
    findings = {finding.what: finding for finding in examine(get_settings())}
    assert all(finding.ok for finding in findings.values()), findings
    assert list(tmp_path.iterdir()) == []
    assert "learns its own" in findings["baseline"].detail
    assert "no baseline" in findings["backbone"].detail
    assert "sentinel up" in findings["Redis"].detail
    assert "does not exist yet" in findings["state folder"].detail


def test_a_baseline_of_another_version_is_a_finding_and_keeps_no_stack_from_starting(settings: Settings) -> None:
    small_baseline(settings.baselines_dir / "old", sensors="v3:86049a438b06")
    own = settings.model_copy(update={"baseline": "old"})
    finding = found(own)["baseline"]
    assert not finding.ok
    assert "rebuild the baseline with this version" in finding.detail
    doctor.require_sound(own)


def test_a_folder_that_cannot_be_is_named_with_its_setting(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("state_dir", "watch_dir"):
        for path in (tmp_path / "file", tmp_path / "file" / "below"):
            findings = examine(settings.model_copy(update={name: path}))
            wrong = [finding for finding in findings if not finding.ok]
            assert len(wrong) == 1
            assert f"SENTINEL_{name.upper()}" in wrong[0].detail


def test_it_reads_what_redis_allows_and_needs_no_config_command(connected: Settings) -> None:
    finding = found(connected)["Redis"]
    assert finding.ok
    assert "append-only file" in finding.detail
    assert connected.redis_url is not None
    assert connected.redis_url.split("@")[0] not in finding.detail


def test_a_redis_that_does_not_answer_is_one_finding(settings: Settings) -> None:
    findings = found(settings.model_copy(update={"redis_url": "redis://:secret@127.0.0.1:1/0"}))
    assert not findings["Redis"].ok
    assert "secret" not in findings["Redis"].detail
    assert "queues" not in findings


def test_a_full_redis_for_which_producers_wait_is_named_with_what_to_do(connected: Settings, store: Store) -> None:
    assert found(connected)["room in Redis"].ok
    store.client.set("much", b"x" * 3_000_000)
    finding = found(connected.model_copy(update={"backlog_mb": 2}))["room in Redis"]
    assert not finding.ok
    assert "new sources wait" in finding.detail
    assert "SENTINEL_BACKLOG_MB" in finding.detail


def test_garbage_on_a_queue_is_named_and_a_task_is_not(connected: Settings, store: Store) -> None:
    make_app(connected).send_task("sentinel.reduce", kwargs={"stream": "a"}, queue="reduce")
    assert found(connected)["queues"].ok
    store.client.lpush("reduce", b"\xff\xfe")
    assert "1 entries on the list 'reduce' are no Celery messages" in found(connected)["queues"].detail
    store.client.delete("reduce")
    store.client.lpush("reduce", "[" * 100_000)
    assert "1 entries on the list 'reduce' are no Celery messages" in found(connected)["queues"].detail
    store.client.delete("reduce")
    store.client.set("reduce", "no list at all")
    assert not found(connected)["queues"].ok


def test_camera_events_that_were_ended_by_the_greatest_id_are_seen(connected: Settings, store: Store) -> None:
    assert found(connected)["camera events"].ok
    store.client.xadd(keys.INGEST, {"a": "b"})
    store.client.xgroup_create(keys.INGEST, "bridge", id="0")
    assert found(connected)["camera events"].ok
    store.client.xadd(keys.INGEST, {"a": "b"}, id=GREATEST_ID)
    finding = found(connected)["camera events"]
    assert not finding.ok
    assert "far in the future" in finding.detail


def test_a_key_of_camera_events_that_holds_no_stream_is_named_with_what_to_do(
    connected: Settings, store: Store
) -> None:
    store.client.set(keys.INGEST, "no Stream")
    finding = found(connected)["camera events"]
    assert not finding.ok
    assert f"{keys.INGEST}: the key holds something that is no Stream" in finding.detail
    assert "deleted" in finding.detail


def test_a_group_that_stands_beyond_its_stream_is_seen(connected: Settings, store: Store) -> None:
    store.client.xadd(keys.INGEST, {"a": "b"}, id="5-0")
    store.client.xgroup_create(keys.INGEST, "bridge", id="7-0")
    finding = found(connected)["camera events"]
    assert not finding.ok
    assert "beyond" in finding.detail


def test_where_no_process_ever_ran_none_is_missed(connected: Settings) -> None:
    finding = found(connected)["processes"]
    assert finding.ok
    assert "sentinel up" in finding.detail


def test_each_process_has_a_row_and_one_that_ended_says_why(
    connected: Settings, store: Store, redis_server: RedisServer
) -> None:
    note_exit(store.client, "embed", new_start_id(), pid=1, code=-9, reason="out of memory")
    with Heartbeat(redis_server.url, "watch"):
        findings = found(connected)
    rows = {what: row for what, row in findings.items() if what.startswith("process ")}
    assert list(rows) == [f"process {process.name}" for process in wanted_processes(connected)]
    assert rows["process watch"].ok
    assert ProcessState.ALIVE in rows["process watch"].detail
    assert not rows["process embed"].ok
    assert "-9: out of memory" in rows["process embed"].detail
    assert ProcessState.MISSING in rows["process reduce"].detail


def test_a_clock_that_is_off_is_mentioned_and_nobody_is_late(
    connected: Settings, redis_server: RedisServer, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from common.store import heartbeats

    now = heartbeats.time.time
    monkeypatch.setattr(heartbeats.time, "time", lambda: now() - 3600)
    with Heartbeat(redis_server.url, "watch"):
        monkeypatch.undo()
        row = found(connected)["process watch"]
    assert row.ok
    assert "3600 s behind" in row.detail


def test_a_file_of_tokens_without_any_or_that_cannot_be_read_is_found(connected: Settings, tmp_path: Path) -> None:
    assert "may post" in found(connected)["tokens"].detail
    path = tmp_path / "tokens"
    own = connected.model_copy(update={"http_tokens": path})
    empty = found(own)["tokens"]
    assert (empty.ok, "sentinel streams token" in empty.detail) == (False, True)
    for stream in ("dock", "dock", "site/yard"):
        add_token(path, stream)
    assert found(own)["tokens"].detail == "cameras of 2 streams may post over HTTP"
    add_token(path, OBJECT_EVENTS)
    assert found(own)["tokens"].detail.endswith("may post over HTTP, and object storage may notify of objects")
    path.write_text("a secret\n")
    damaged = found(own)["tokens"]
    assert (damaged.ok, "secret" in damaged.detail) == (False, False)


def test_a_storage_that_refuses_is_a_finding_and_an_empty_prefix_none(
    settings: Settings, objects: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = reaching(objects, settings, watch_objects=("s3://site/watched",))
    assert doctor._objects(own) == "2 prefixes can be asked for, nothing is below 2 of them yet"
    objects.put("cameras/dock/a.mp4", b"x")
    assert doctor._objects(own) == "2 prefixes can be asked for, nothing is below 1 of them yet"
    for misspelt in ("s3://nowhere", "s3://nowhere/cameras"):
        finding = found(own.model_copy(update={"watch_objects": (misspelt,)}))["object storage"]
        assert not finding.ok and f"{misspelt}: there is no such bucket" in finding.detail
    use_credentials(monkeypatch, "AKIASOMEBODYELSE", "another-secret")
    finding = found(own)["object storage"]
    assert not finding.ok and "refuses access" in finding.detail


def test_a_broker_or_frigate_that_cannot_be_reached_is_named_without_its_password(
    connected: Settings, tmp_path: Path
) -> None:
    assert found(connected)["MQTT"].detail == found(connected)["Frigate"].detail == "none is set"
    nobody = f"127.0.0.1:{free_port()}"
    own = connected.model_copy(
        update={
            "mqtt_in_url": f"mqtt://cam:s3cret@{nobody}",
            "mqtt_in_topics": ("cameras/{stream}",),
            "frigate_url": f"http://{nobody}",
        }
    )
    findings = found(own)
    assert not findings["MQTT"].ok
    assert not findings["Frigate"].ok
    assert "correct SENTINEL_MQTT_IN_URL" in findings["MQTT"].detail
    assert "correct SENTINEL_FRIGATE_URL" in findings["Frigate"].detail
    assert "s3cret" not in findings["MQTT"].detail
    missing = own.model_copy(update={"mqtt_in_url": f"mqtt://cam@{nobody}", "mqtt_password_file": tmp_path / "none"})
    assert "SENTINEL_MQTT_PASSWORD_FILE names, is no file" in found(missing)["MQTT"].detail


@pytest.fixture
def administered(settings: Settings, tmp_path: Path) -> Iterator[Callable[..., dict[str, Finding]]]:
    """What doctor finds in a Redis of one's own, as its administrator; called with the rights of a user `camera`."""
    own = ["--maxmemory-policy", "noeviction", "--user", "default", "on", ">secret", "~*", "&*", "+@all"]
    with bare_redis(tmp_path, own, "secret") as client:

        def looked(user: str = "", rights: str = "", url: str = "redis://:secret@127.0.0.1") -> dict[str, Finding]:
            if user:
                client.execute_command("ACL", "SETUSER", user, "reset", "on", ">x", *rights.split())
            port = client.connection_pool.connection_kwargs["port"]
            return found(settings.model_copy(update={"redis_url": f"{url}:{port}/0"}))

        yield looked


def test_sentinels_own_rights_are_enough_and_more_of_them_are_advised_against(
    connected: Settings, administered: Callable[..., dict[str, Finding]]
) -> None:
    assert found(connected)["Redis users"].detail == "sentinel may not administer Redis"
    more = administered()["Redis users"]
    assert more.ok
    assert "default may administer Redis" in more.detail
    assert "sentinel redis acl" in more.detail


@pytest.mark.parametrize(
    ("user", "rights", "ok"),
    [
        ("camera", CAMERA.rules, True),
        ("camera-dock", camera_user("dock").rules, True),
        ("truth", TRUTH.rules, True),
        ("camera", "~* -@all +xadd", False),
        ("camera", f"~{keys.INGEST} +@all", False),
        ("camera", f"~{keys.INGEST} -@all +xadd +lpush", False),
        ("camera", f"~{keys.INGEST} ~embed -@all +xadd", False),
        ("camera-dock", f"~{keys.INGEST}:* -@all +xadd", False),
        ("truth", CAMERA.rules, False),
        ("somebody", "~* +@all", True),
    ],
)
def test_a_writer_who_may_do_more_than_write_is_found(
    administered: Callable[..., dict[str, Finding]], user: str, rights: str, ok: bool
) -> None:
    finding = administered(user, rights)["Redis users"]
    assert finding.ok is ok
    assert ok or f"user {user!r} may do more" in finding.detail


def test_a_redis_without_a_password_is_mentioned_here_and_wrong_where_others_reach_it(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bare_redis(tmp_path, ["--maxmemory-policy", "noeviction"]) as client:
        own = settings.model_copy(
            update={"redis_url": f"redis://127.0.0.1:{client.connection_pool.connection_kwargs['port']}/0"}
        )
        here = found(own)
        assert here["Redis users"].ok
        assert "WITHOUT a password" in here["Redis users"].detail
        assert "never leaves this machine" in here["Redis connection"].detail
        monkeypatch.setattr(doctor_redis_access, "stays_on_this_machine", lambda url: False)  # an address of a network
        away = found(own)
        assert not away["Redis users"].ok
        assert "sentinel redis acl" in away["Redis users"].detail
        assert away["Redis connection"].ok
        assert away["Redis connection"].detail.startswith("WITHOUT TLS")
