"""What a program gets: one JSON document whatever happens, and no password."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BrokerUnavailable
from common.models.vfi.design import DESIGN
from common.models.vfi.first import starting_model
from common.store import Store
from common.store.client import connect, without_password
from sentinel.stack.redis_server import RedisServer
from tests.common.builders import record
from tests.sentinel.cli.conftest import CommandLine
from tests.sentinel.conftest import World

FAILING = (
    ("check", "--json"),  # usage: no source
    ("check", "/nowhere.mp4", "--json"),  # no baseline
    ("check", "/nowhere.mp4", "--baseline", "none", "--json"),
    ("check", "/nowhere.mp4", "--json", "--status-dir", "/proc/nowhere"),
    ("check", "/nowhere.mp4", "--json", "--report", "/proc/nowhere/report.html"),
    ("status", "--json", "--status", "SOSO"),
    ("events", "--json", "--limit", "0"),
    ("events", "--json", "--type", "none"),
    ("baseline", "show", "none", "--json"),
    ("champions", "rollback", "none", "--json"),
    ("dead", "show", "none", "--json"),
    ("dead", "retry", "--json"),
    ("sabotage", "--fault", "none", "--json"),
    ("doctor", "--jsno", "--json"),
)


@pytest.mark.parametrize("command", FAILING, ids=" ".join)
def test_an_error_is_one_json_document_too(sentinel: CommandLine, command: tuple[str, ...]) -> None:
    done = sentinel.run(*command)
    assert done.code in {2, 3}
    said = json.loads(done.stdout)
    assert said["status"] == "ERROR"
    assert said["message"] in done.stderr.replace("\n", " ")


def test_without_json_an_error_leaves_standard_output_empty(sentinel: CommandLine) -> None:
    for command in FAILING:
        assert sentinel.run(*(word for word in command if word != "--json")).stdout == ""


def test_a_redis_or_a_setting_that_is_wrong_is_one_json_document(sentinel: CommandLine) -> None:
    sentinel.set("SENTINEL_BACKBONE", "none.onnx")  # nothing heavy is to be loaded
    wrong = {"SENTINEL_REDIS_URL": "redis://127.0.0.1:1/0", "SENTINEL_P_VALUE": "much"}
    for name, value in wrong.items():
        sentinel.set(name, value)
        for command in ("status", "doctor"):
            done = sentinel.run(command, "--json")
            assert done.code == 3
            said = json.loads(done.stdout)
            assert isinstance(said, list) or said["status"] == "ERROR"
            assert "Traceback" not in done.stderr


def test_every_result_is_json_where_that_is_asked_for(sentinel: CommandLine, store: Store) -> None:
    kept = record(3, parent=2, model_path=str(DESIGN.starting), model_digest=starting_model().digest)
    assert store.champions.promote(kept, over=0)
    for command in (
        ("champions", "at", "vfi", "00:00"), ("champions", "diff", "vfi", "3", "champion"),
        ("status",), ("events",), ("baseline", "list"), ("champions", "list"), ("dead", "list"),
        ("champions", "promote", "vfi", "3"), ("sabotage", "--fault", "list"), ("dead", "drop", "--all"),
        ("dead", "retry", "--all"),
    ):  # fmt: skip
        done = sentinel.run(*command, "--json")
        assert done.code == 0, done.stderr
        json.loads(done.stdout)


def test_a_verdict_is_not_lost_because_a_file_cannot_be_written(world: World, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "status.json").mkdir(parents=True)  # a folder where the file should be
    done = world.run(
        "check", str(world.folder / "clean.mp4"), "--baseline", "golden", "--json", "--status-dir", str(out)
    )
    assert done.returncode == 3
    assert json.loads(done.stdout)["status"] == "PASS"
    assert "--status-dir" in done.stderr


def test_a_reader_who_goes_away_is_no_fail() -> None:
    """`sentinel ... | head -1`: the exit code of a FAIL must not come from a closed pipe."""
    for extra in ([], ["--json"]):
        command = [sys.executable, "-m", "sentinel", "sabotage", "--fault", "list", *extra]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.close()
            said = process.stderr.read()
        assert process.returncode == 3
        assert said == ""


def test_no_command_prints_the_password_of_redis(
    sentinel: CommandLine, store: Store, redis_server: RedisServer
) -> None:
    sentinel.set("SENTINEL_BACKBONE", "none.onnx")  # nothing heavy is to be loaded
    place = redis_server.url.rpartition("@")[2]
    password = redis_server.url.removeprefix("redis://:").rpartition("@")[0]
    for secret in (password, "hunter2%2F+%3D"):  # the right one, and one that is refused
        sentinel.set("SENTINEL_REDIS_URL", f"redis://:{secret}@{place}")
        for command in ("status", "events", "doctor"):
            for extra in ((), ("--json",)):
                done = sentinel.run(command, *extra)
                assert secret not in done.stdout + done.stderr
                assert "hunter2" not in done.stdout + done.stderr
    sentinel.set("SENTINEL_REDIS_URL", redis_server.url)
    assert json.loads(sentinel.run("status", "--json").stdout)["redis_url"] == f"redis://{place}"
    assert f"Redis: redis://{place}\n" in sentinel.run("status").stdout


@given(st.text(alphabet="hunter2/?#@:=&+ %[]", min_size=4), st.sampled_from(["", "operator"]))
def test_no_url_shows_its_password_whatever_is_in_it(password: str, user: str) -> None:
    secret = f"S{password}T"
    shown = without_password(f"redis://{user}:{secret}@host.example:6379/0")
    assert not any(part in shown for part in (secret, secret[:3]))
    assert shown in {"redis://host.example:6379/0", "redis://…"}
    assert "secret" not in without_password("redis://host.example:6379/0?username=a&password=secret")


def test_a_url_that_cannot_be_read_is_refused_without_quoting_it() -> None:
    with pytest.raises(BrokerUnavailable, match="%2F for /") as refused:
        connect("redis://:pass/word@127.0.0.1:6379/0")
    assert "pass" not in str(refused.value).replace("password", "")


def test_status_json_is_written_readably(world: World, tmp_path: Path) -> None:
    world.run("check", "/nowhere.mp4", "--baseline", "golden", "--status-dir", str(tmp_path))
    written = tmp_path / "status.json"
    assert json.loads(written.read_text(encoding="utf-8"))["error"] == "BadSource"
    assert stat.S_ISREG(written.stat().st_mode)
