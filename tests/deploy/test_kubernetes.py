"""deploy/kubernetes: what is applied, as kustomize builds it."""

from __future__ import annotations

import base64
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from redis.backoff import NoBackoff
from redis.retry import Retry

from common.processes import PROCESSES, Worker
from common.settings import Settings
from sentinel.cli.generated_kubernetes import SECRET_SETTINGS
from tests.bare_redis import bare_redis
from tests.deploy.kustomize import KUBERNETES, build, copy_with_secrets
from tests.deploy.manifests import Document, problems, template_of

BROKEN = Path(__file__).parent / "broken"
OVERLAYS = ("local", "gcp")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Document]]:
    """Overlay -> its manifests."""
    folder = copy_with_secrets(tmp_path_factory.mktemp("deploy") / "kubernetes")
    found = {}
    for overlay in OVERLAYS:
        ended = build(folder / overlay)
        assert ended.returncode == 0, ended.stderr
        assert ended.stderr == "", "kustomize warns"
        found[overlay] = list(yaml.safe_load_all(ended.stdout))
    return found


@pytest.fixture(params=OVERLAYS)
def manifests(built: dict[str, list[Document]], request: pytest.FixtureRequest) -> list[Document]:
    return built[request.param]


def of_kind(manifests: list[Document], kind: str) -> dict[str, Document]:
    return {one["metadata"]["name"]: one for one in manifests if one["kind"] == kind}


def data_of(manifests: list[Document], kind: str, name: str) -> dict[str, str]:
    """Return what is in a ConfigMap or Secret, whose name ends with a digest of that."""
    (found,) = [one["data"] for key, one in of_kind(manifests, kind).items() if re.fullmatch(f"{name}-\\w{{10}}", key)]
    if kind == "Secret":
        return {key: base64.b64decode(value).decode() for key, value in found.items()}
    return dict(found)


def settings_in(manifests: list[Document], monkeypatch: pytest.MonkeyPatch) -> Settings:
    variables = data_of(manifests, "ConfigMap", "sentinel")
    for secret in SECRET_SETTINGS:
        variables |= data_of(manifests, "Secret", f"sentinel-{secret}")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Settings(_env_file=None)  # type: ignore[call-arg]


def expanded(word: str, variables: dict[str, str]) -> str:
    """Return a word of a command line as Kubernetes expands it."""
    return re.sub(r"\$\((\w+)\)", lambda found: variables[found[1]], word)


def container_of(document: Document) -> dict[str, Any]:
    template = template_of(document)
    assert template is not None
    container: dict[str, Any] = template["spec"]["containers"][0]
    return container


def test_nothing_is_wrong_with_the_manifests(manifests: list[Document]) -> None:
    assert problems(manifests) == []


@pytest.mark.parametrize("path", sorted((BROKEN / "kubernetes").glob("*.yaml")), ids=lambda path: path.stem)
def test_what_is_broken_is_found(path: Path) -> None:
    text = path.read_text()
    expected = re.findall(r"^# expects: (.*)$", text, re.MULTILINE)
    found = problems(yaml.safe_load_all(text))
    assert expected
    for line in expected:
        assert any(one.startswith(line) for one in found), f"{line!r} is not in {found}"


def test_kustomize_refuses_an_overlay_that_patches_what_is_not_there() -> None:
    ended = build(BROKEN / "kustomize")
    assert ended.returncode != 0
    assert "/spec/no/such/field" in ended.stderr


def test_every_process_of_the_list_runs_and_with_its_own_command(
    manifests: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_in(manifests, monkeypatch)
    started = {**of_kind(manifests, "Deployment"), **of_kind(manifests, "ScaledJob")}
    assert sorted(started) == sorted(process.name for process in PROCESSES)
    variables = data_of(manifests, "ConfigMap", "sentinel")
    for process in PROCESSES:
        container = container_of(started[process.name])
        given = variables | {one["name"]: one["value"] for one in container.get("env", [])}
        own = settings.model_copy(update={"embed_processes": int(given["SENTINEL_EMBED_PROCESSES"])})
        assert [expanded(word, given) for word in container["command"]] == process.command(own)


def test_what_has_nothing_set_for_it_is_not_started_and_all_else_is(
    manifests: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_in(manifests, monkeypatch)
    scaled = of_kind(manifests, "ScaledObject")
    deployments = of_kind(manifests, "Deployment")
    for process in PROCESSES:
        if process.name in deployments and process.name not in scaled:
            replicas = deployments[process.name]["spec"]["replicas"]
            assert (replicas > 0) == process.has_work(settings), process.name


def test_a_process_of_which_there_is_one_is_never_there_twice(manifests: list[Document]) -> None:
    for process in PROCESSES:
        deployment = of_kind(manifests, "Deployment").get(process.name)
        if deployment is None:
            job = of_kind(manifests, "ScaledJob")[process.name]["spec"]
            assert job["maxReplicaCount"] == 1
        elif not process.copies:
            assert deployment["spec"]["replicas"] <= 1
            assert deployment["spec"]["strategy"] == {"type": "Recreate"}


def test_a_worker_has_longer_to_stop_than_its_tasks_may_take(
    manifests: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_in(manifests, monkeypatch)
    started = {**of_kind(manifests, "Deployment"), **of_kind(manifests, "ScaledJob")}
    for process in PROCESSES:
        template = template_of(started[process.name])
        assert template is not None
        assert template["spec"]["terminationGracePeriodSeconds"] > process.patience(settings)
        assert not isinstance(process.start, Worker) or process.patience(settings) > settings.visibility_seconds


def test_a_retraining_worker_that_is_a_job_ends_and_one_that_is_none_does_not(
    manifests: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_in(manifests, monkeypatch)
    assert (settings.retrain_idle_seconds > 0) == ("retrain" in of_kind(manifests, "ScaledJob"))


def test_only_pods_that_face_people_are_given_their_secrets(manifests: list[Document]) -> None:
    given = set()
    for document in manifests:
        if template_of(document) is not None:
            for source in container_of(document).get("envFrom", []):
                if source.get("secretRef", {}).get("name", "").startswith("sentinel-people"):
                    given.add(document["metadata"]["name"])
    assert given == {"alerts", "page", "flower", "metrics"}


def test_a_pod_reaches_and_is_reached_by_what_is_named_alone(manifests: list[Document]) -> None:
    policies = of_kind(manifests, "NetworkPolicy")
    assert policies["default-deny"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    to_redis = [
        source
        for policy in policies.values()
        if policy["spec"]["podSelector"].get("matchLabels") == {"app.kubernetes.io/name": "redis"}
        for rule in policy["spec"]["ingress"]
        for source in rule["from"]
    ]
    operator = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "keda"}},
        "podSelector": {"matchLabels": {"app": "keda-operator"}},
    }
    ours = {"podSelector": {"matchLabels": {"app.kubernetes.io/part-of": "sentinel"}}}
    assert to_redis in ([ours], [ours, operator])
    for document in manifests:
        template = template_of(document)
        if template and document["metadata"]["name"] != "redis":
            assert template["metadata"]["labels"]["app.kubernetes.io/part-of"] == "sentinel"


@pytest.mark.parametrize("setting", sorted(Settings.model_fields))
def test_a_setting_has_one_place_in_the_configmap_or_in_a_secret(setting: str) -> None:
    variable = f"SENTINEL_{setting.upper()}"
    named = {
        "settings": (KUBERNETES / "base" / "settings.env").read_text(),
        **{name: (KUBERNETES / "secrets" / f"{name}.example.env").read_text() for name in SECRET_SETTINGS},
    }
    places = [name for name, text in named.items() for _ in re.findall(f"^(?:# )?{variable}=", text, re.MULTILINE)]
    secret = [name for name, settings in SECRET_SETTINGS.items() if setting in settings]
    assert places == (secret or ["settings"])


def test_what_is_called_a_password_a_token_or_a_secret_is_one() -> None:
    secret = {name for names in SECRET_SETTINGS.values() for name in names}
    called = {
        name
        for name, field in Settings.model_fields.items()
        if re.search("password|token|secret", name) and field.annotation == str | None
    }
    assert {"redis_password", "page_token", "alert_secret"} <= called
    assert called <= secret


def test_the_secrets_are_random_made_once_and_nobody_elses_to_read(tmp_path: Path) -> None:
    def secrets(folder: Path) -> dict[str, str]:
        text = "".join((folder / "secrets" / f"{name}.env").read_text() for name in SECRET_SETTINGS)
        return dict(re.findall(r"^(SENTINEL_\w+)=(.*)$", text, re.MULTILINE))

    first, second = copy_with_secrets(tmp_path / "a"), copy_with_secrets(tmp_path / "b")
    made = secrets(first)
    assert made["SENTINEL_REDIS_URL"] == "redis://sentinel@redis:6379/0"
    for name in ("SENTINEL_REDIS_PASSWORD", "SENTINEL_PAGE_TOKEN", "SENTINEL_FLOWER_PASSWORD"):
        assert re.fullmatch("[0-9a-f]{48}", made[name])
        assert made[name] != secrets(second)[name]
    for name in SECRET_SETTINGS:
        assert (first / "secrets" / f"{name}.env").stat().st_mode & 0o077 == 0
    subprocess.run([first / "secrets" / "fill"], check=True, capture_output=True)
    assert secrets(first) == made


@pytest.fixture
def clusters_redis(built: dict[str, list[Document]], tmp_path: Path) -> Iterator[tuple[redis.Redis, str]]:
    """A real Redis with the arguments of the StatefulSet, but for its folder; and its password."""
    manifests = built["local"]
    password = data_of(manifests, "Secret", "sentinel-connections")["SENTINEL_REDIS_PASSWORD"]
    values = {
        "REDISCLI_AUTH": password,
        **data_of(manifests, "Secret", "sentinel-redis-users"),
        "SENTINEL_REDIS_MAX_MB": data_of(manifests, "ConfigMap", "sentinel")["SENTINEL_REDIS_MAX_MB"],
    }
    command = container_of(of_kind(manifests, "StatefulSet")["redis"])["command"]
    assert command[:3] == ["redis-server", "--dir", "/data"]
    arguments = [expanded(word, values) for word in command[3:]]
    with bare_redis(tmp_path, arguments, password, user="sentinel") as client:
        yield client, password


def test_the_clusters_redis_keeps_what_it_is_given_and_asks_for_its_password(
    clusters_redis: tuple[redis.Redis, str],
) -> None:
    client, password = clusters_redis
    assert client.info("persistence")["aof_enabled"] == 1
    assert client.info("memory")["maxmemory_policy"] == "noeviction"
    assert client.info("memory")["maxmemory"] == 512 * 1024 * 1024
    with pytest.raises(redis.exceptions.NoPermissionError):
        client.config_get("*")
    port = client.connection_pool.connection_kwargs["port"]
    for wrong in (None, "", f"{password}x"):
        stranger = redis.Redis(port=port, password=wrong, retry=Retry(NoBackoff(), 0))
        with stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()


def test_keda_gets_in_as_its_triggers_say_and_reads_how_long_the_queues_are(
    clusters_redis: tuple[redis.Redis, str], built: dict[str, list[Document]]
) -> None:
    client, _ = clusters_redis
    manifests = built["gcp"]
    named = {
        ref["parameter"]: data_of(manifests, "Secret", re.sub(r"-[a-z0-9]{10}$", "", ref["name"]))[ref["key"]]
        for ref in of_kind(manifests, "TriggerAuthentication")["redis"]["spec"]["secretTargetRef"]
    }
    # The same password is in both overlays' Secrets only if both were made by one `fill`: here it is the other's.
    named["password"] = client.connection_pool.connection_kwargs["password"]
    port = client.connection_pool.connection_kwargs["port"]
    with redis.Redis(port=port, username=named["username"], password=named["password"]) as keda:
        scaled = [*of_kind(manifests, "ScaledObject").values(), *of_kind(manifests, "ScaledJob").values()]
        for trigger in [trigger for one in scaled for trigger in one["spec"]["triggers"]]:
            host, _, number = trigger["metadata"]["address"].partition(":")
            assert host.split(".")[1:] == ["sentinel", "svc"], "KEDA asks from its own namespace"
            assert number == "6379"
            assert keda.llen(trigger["metadata"]["listName"]) == 0


def test_a_pod_finds_settings_of_streams_in_its_state_and_may_do_without(built: dict[str, list[Document]]) -> None:
    for name, deployment in of_kind(built["local"], "Deployment").items():
        assert container_of(deployment)["workingDir"] == "/app/state", name
    assert "SENTINEL_CONFIG" not in data_of(built["local"], "ConfigMap", "sentinel")
