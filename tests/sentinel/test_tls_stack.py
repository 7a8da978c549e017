"""Over TLS, with the rights of `sentinel redis acl` and no others, real processes take a source to a verdict."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from common.contracts.processes import ProcessState
from common.contracts.verdicts import Status
from common.process_health import process_health
from common.processes import wanted_processes
from common.redis_users import CAMERA, NOBODY, TRUTH, sentinel_user
from common.settings import Settings
from common.store import Store
from tests.certificates import Authority
from tests.feeding import verdicts
from tests.sentinel.conftest import World, start, wait_until
from tests.sentinel.stack.test_flower import flower
from tests.sentinel.test_second_modality import press, rows, write
from tests.tls_redis import PASSWORD, tls_redis, url_of

__all__ = ["press"]  # a fixture: a modality that costs little, with a baseline
EXAMPLE = Path(__file__).parents[2] / "examples" / "celery_client" / "submit.py"


@dataclass
class Site:
    """A Redis with TLS, the environment of processes that reach it, and the file of an authority that it is not of."""

    folder: Path
    port: int
    authority: Authority
    other: Authority

    @property
    def settings(self) -> Settings:
        return Settings(
            _env_file=None,  # type: ignore[call-arg]
            redis_url=url_of(self.port),
            redis_password=PASSWORD,
            redis_ca_file=self.authority.certificate,
            state_dir=self.folder / "state",
        )

    def environment(self, authority: Authority | None = None) -> dict[str, str]:
        return {
            "SENTINEL_REDIS_URL": url_of(self.port),
            "SENTINEL_REDIS_PASSWORD": PASSWORD,
            "SENTINEL_REDIS_CA_FILE": str((authority or self.authority).certificate),
        }

    def denied(self) -> list[str]:
        """What Redis refused to its users for want of a right, but for the name of a client library, which it can do
        without."""
        with redis.Redis(
            host="127.0.0.1",
            port=self.port,
            username="admin",
            password="admin",
            ssl=True,
            ssl_ca_certs=str(self.authority.certificate),
        ) as admin:
            said = [f"{row['reason']} {row['object']} {row['username']}" for row in admin.acl_log()]
        return [row for row in said if "client|setinfo" not in row]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("tls")
    authority, other = Authority(folder, "authority"), Authority(folder, "other")
    own = [NOBODY, sentinel_user().line(PASSWORD), CAMERA.line("camera"), TRUTH.line("truth")]
    users = [*own, "user admin on >admin +@all"]
    shows = authority.sign("redis", ["127.0.0.1"])
    with tls_redis(folder / "redis", shows, authority.certificate, users=users) as port:
        yield Site(folder, port, authority, other)


@contextmanager
def running(command: Sequence[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process of the list, and end it with those that it started."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], env=environment, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.timeout(400)
def test_workers_take_what_a_celery_client_hands_in_to_a_verdict(site: Site, press: World, tmp_path: Path) -> None:
    environment = {**press.environment, **site.environment()}
    source = write(tmp_path / "shifted.csv", rows(120, seed=5, pressure=0.5))
    environment["SENTINEL_ALLOWED_ROOTS"] = str(tmp_path)
    worker = ["celery", "-A", "workers.embedding", "worker", "-Q", "embed,reduce", "-I", "workers.reducer", "-c", "1",
              "--without-mingle", "--without-gossip"]  # fmt: skip
    store = Store(site.settings.redis_url or "", site.settings)
    with ExitStack() as processes:
        for name, command in (("worker", worker), ("events", ["sentinel", "camera-events"])):
            processes.enter_context(running(command, environment, tmp_path / f"{name}.log"))
        client = subprocess.run(
            [sys.executable, str(EXAMPLE), "press 1", str(source)],
            env={**environment, "SENTINEL_REDIS_URL": site.settings.redis_url or ""},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert client.returncode == 0, client.stderr + (tmp_path / "worker.log").read_text()
        assert "complete" in client.stdout
        wait_until("a verdict", lambda: verdicts(store, "press 1"))
        own = {**site.environment(), "SENTINEL_FLOWER_PASSWORD": "secret"}
        with flower(tmp_path, url_of(site.port), **own) as port:
            asked = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            login = base64.b64encode(b"sentinel:secret").decode()
            asked.request("GET", "/api/queues/length", headers={"Authorization": f"Basic {login}"})
            answer = asked.getresponse().read()
            assert b"active_queues" in answer, answer.decode() + (tmp_path / "flower.log").read_text()
            assert {row["name"] for row in json.loads(answer)["active_queues"]} >= {"embed", "reduce"}
    assert {verdict.status for verdict in verdicts(store, "press 1")} == {Status.FAIL}
    assert site.denied() == []


@pytest.mark.parametrize(
    "command",
    [
        ["celery", "-A", "common.broker", "worker", "-Q", "reduce", "-c", "1"],
        ["celery", "-A", "producers.schedule", "beat"],
    ],
)
def test_a_process_of_celery_says_what_to_do_about_a_certificate_and_goes_on_trying(
    site: Site, tmp_path: Path, command: list[str]
) -> None:
    log = tmp_path / "log"
    with running(command, {**os.environ, **site.environment(site.other)}, log) as process:
        wait_until("the advice", lambda: "set SENTINEL_REDIS_CA_FILE to a file" in log.read_text())
        wait_until("another attempt", lambda: "CERTIFICATE_VERIFY_FAILED" in log.read_text())
        assert process.poll() is None
    assert "ERROR" in next(line for line in log.read_text().splitlines() if "SENTINEL_REDIS_CA_FILE" in line)


@pytest.mark.parametrize("command", ["up", "flower"])
def test_the_stack_and_its_other_processes_do_not_start_with_a_certificate_that_does_not_verify(
    site: Site, tmp_path: Path, command: str
) -> None:
    environment = {**os.environ, **site.environment(site.other)}
    done = subprocess.run(
        [sys.executable, "-m", "sentinel", command],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert "set SENTINEL_REDIS_CA_FILE to a file" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_whole_stack_runs_over_tls_with_no_right_too_few(site: Site, press: World) -> None:
    own = {**site.environment(), "SENTINEL_HTTP_TOKENS": str(site.folder / "tokens"), "SENTINEL_HTTP_PORT": "0"}
    world = World(press.folder, {**press.environment, **own})
    assert world.run("streams", "token", "dock").returncode == 0
    stack = start(world)
    try:
        everyone = {process.name for process in wanted_processes(stack.store.settings)}
        wait_until(
            "all processes to be alive",
            lambda: everyone <= {one.process for one in process_health(stack.store) if one.state is ProcessState.ALIVE},
        )
        write(world.watch_dir / "press 2" / "shifted.csv", rows(120, seed=5, pressure=0.5))
        wait_until("a verdict", lambda: verdicts(stack.store, "press 2"))
        looked = json.loads(world.run("doctor", "--json").stdout)
        assert [row for row in looked if not row["ok"]] == []
        assert any(row["detail"].startswith("TLS, ") for row in looked)
        assert world.run("streams", "forget", "press 2", "--yes").returncode == 0
    finally:
        stack.interrupt()
    assert site.denied() == ["command acl|users sentinel"], "but what doctor tried: whether it may see the users"
