"""Procfile, compose file and image follow the one list of processes."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

from common.process_health import process_health
from common.processes import PROCESSES, Worker, process_of_queues
from common.settings import Settings
from common.store import Store
from common.store.heartbeats import Heartbeat
from sentinel.cli.generated import FILES
from sentinel.stack.redis_server import RedisServer
from sentinel.stack.stack import process_specs

ROOT = Path(__file__).parents[2]
NAMES = [process.name for process in PROCESSES]
# What the compose file itself determines: where Redis, the volumes and Flower's port are inside its network.
DETERMINED = {
    "SENTINEL_REDIS_URL", "SENTINEL_REDIS_PASSWORD", "SENTINEL_STATE_DIR", "SENTINEL_WATCH_DIR",
    "SENTINEL_BASELINES_DIR", "SENTINEL_FLOWER_HOST", "SENTINEL_FLOWER_PORT",
    "SENTINEL_METRICS_HOST", "SENTINEL_METRICS_PORT",
    "SENTINEL_PAGE_HOST", "SENTINEL_PAGE_PORT", "SENTINEL_HTTP_HOST", "SENTINEL_HTTP_PORT", "SENTINEL_HEARTBEAT_FILE",
}  # fmt: skip
OTHERS = {"redis", "preflight", "embed-gpu", "prometheus", "grafana", "demo-camera", "sentinel"}
"""Services of the compose file that are no process of the list."""

ALL = {f"SENTINEL_{name.upper()}" for name in Settings.model_fields}
# Its Redis is reached inside its network, without TLS: with these files Sentinel would refuse that address.
NOT_IN_COMPOSE = {"SENTINEL_REDIS_CA_FILE", "SENTINEL_REDIS_CERT_FILE", "SENTINEL_REDIS_KEY_FILE"}


@pytest.mark.parametrize("name", FILES)
def test_what_follows_from_settings_and_processes_is_up_to_date(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert FILES[name](text) == text, "run `make generated`"


def with_defaults(text: str) -> str:
    """Return `text` as a shell or compose reads it where no variable is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


@pytest.fixture
def services() -> dict[str, dict]:
    found = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return {name: service for name, service in found.items() if name not in OTHERS}


@pytest.fixture
def defaults() -> Settings:
    return Settings(_env_file=None)  # type: ignore[call-arg]


def test_the_procfile_starts_the_processes_of_the_list_with_their_commands(defaults: Settings) -> None:
    lines = [line.partition(": ") for line in (ROOT / "Procfile").read_text().splitlines()]
    commands = {name: shlex.split(with_defaults(command)) for name, _, command in lines}
    assert list(commands) == NAMES
    for process in PROCESSES:
        assert commands[process.name] == process.command(defaults)


def test_compose_starts_the_processes_of_the_list_with_their_commands(
    services: dict[str, dict], defaults: Settings
) -> None:
    assert list(services) == NAMES
    for process in PROCESSES:
        service = services[process.name]
        words = [*service.get("entrypoint", ["sentinel"]), *service["command"]]
        assert [with_defaults(word) for word in words] == process.command(defaults)


@pytest.mark.parametrize("variable", sorted(ALL - NOT_IN_COMPOSE))
def test_a_setting_reaches_every_service_of_compose(services: dict[str, dict], variable: str) -> None:
    for name, service in services.items():
        environment = service["environment"]
        assert variable in environment, f"{name} is not given {variable}"
        value = environment[variable]
        # Without a value compose passes on what is set outside.
        assert value is None or variable in DETERMINED or value.startswith(f"${{{variable}:"), f"{name}: {variable}"


def test_compose_names_no_setting_that_there_is_not(services: dict[str, dict]) -> None:
    named = {name for service in services.values() for name in service["environment"] if name.startswith("SENTINEL_")}
    assert named == ALL - NOT_IN_COMPOSE


def test_compose_gives_a_worker_as_long_to_stop_as_its_tasks_may_take(services: dict[str, dict]) -> None:
    for process in PROCESSES:
        if isinstance(process.start, Worker):
            assert services[process.name]["stop_grace_period"] == "${SENTINEL_VISIBILITY_SECONDS:-45}s"


def test_an_image_is_built_once_and_holds_every_room(services: dict[str, dict]) -> None:
    images = {name: service["image"] for name, service in services.items()}
    for image in set(images.values()):
        built = [
            service["build"]["target"]
            for service in services.values()
            if service["image"] == image
            if "build" in service
        ]
        assert len(built) == 1, image
    assert {name for name, image in images.items() if "worker" in image} == {
        process.name for process in PROCESSES if process.embeds_or_trains
    }
    rooms = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    copied = re.findall(r"^COPY (\w+) \1$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert {room.rstrip("*") for room in rooms} <= set(copied)
    sent = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines()}
    assert set(copied) <= sent, "the engine is not given what the Dockerfile copies"


def test_a_container_is_healthy_while_its_process_is_not_late(services: dict[str, dict]) -> None:
    for process in PROCESSES:
        assert services[process.name]["healthcheck"]["test"] == ["CMD", "sentinel-health", f"{process.late_after:.0f}"]


def test_nothing_is_published_but_on_loopback() -> None:
    for name, service in yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].items():
        for port in service.get("ports", []):
            assert with_defaults(port).startswith("127.0.0.1:"), name


def test_the_images_pin_what_the_lock_file_pins() -> None:
    def pinned(path: str) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for name, version in re.findall(r"^([a-z0-9-]+)==([^ ;\\\s]+)", (ROOT / path).read_text(), re.MULTILINE):
            found.setdefault(name, set()).add(version)
        return found

    ours = pinned("requirements.lock")
    for image in ("service", "worker-cpu", "worker-gpu", "build"):
        theirs = pinned(f"deploy/images/{image}.lock")
        assert {
            name: versions for name, versions in theirs.items() if name in ours and not versions <= ours[name]
        } == {}
        assert "--hash=sha256:" in (ROOT / f"deploy/images/{image}.lock").read_text()
    assert pinned("deploy/images/worker-cpu.lock")["tensorflow-cpu"] == ours["tensorflow"]


def test_a_worker_is_known_by_its_queue() -> None:
    assert process_of_queues({"embed"}) == "embed"
    assert process_of_queues({"something else"}) is None


def test_the_number_of_embedding_processes_and_the_patience_follow_the_settings(defaults: Settings) -> None:
    embed = next(process for process in PROCESSES if process.name == "embed")
    chosen = defaults.model_copy(update={"embed_processes": 7, "visibility_seconds": 100, "log_level": "DEBUG"})
    assert "-c 7" in " ".join(embed.command(chosen))
    assert embed.command(chosen)[-1] == "--loglevel=DEBUG"
    assert embed.patience(chosen) > 100


def test_what_has_nothing_set_for_it_is_neither_started_nor_missed(
    defaults: Settings, store: Store, redis_server: RedisServer
) -> None:
    def started(settings: Settings) -> set[str]:
        return {one.name for one in process_specs(settings, redis_server.url, flower_port=1, page_port=2)}

    def missed() -> set[str]:
        return {one.process for one in process_health(store)}

    asked = defaults.model_copy(update={"mqtt_url": "mqtt://127.0.0.1"})
    assert started(asked) - started(defaults) == {"mqtt"}
    for what in ({"mqtt_in_topics": ("cameras/{stream}",)}, {"frigate_url": "http://127.0.0.1:5000"}):
        assert started(defaults.model_copy(update=what)) - started(defaults) == {"mqtt-in"}
    assert started(defaults) == set(NAMES) - {"alerts", "http", "mqtt", "mqtt-in", "objects", "rtsp"} == missed()
    with Heartbeat(redis_server.url, "alerts"):
        assert missed() == set(NAMES) - {"http", "mqtt", "mqtt-in", "objects", "rtsp"}, "it runs, wherever it is set"
