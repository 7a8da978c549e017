"""Keeps files that follow from the code as the code has it: `make generated`.

    docs/settings.md      the table of settings, from the settings class
    Procfile              from the list of processes
    docker-compose.yml    its settings and its services, from both
    docs/operating.md     the table of processes, from their list
    deploy/kubernetes/    its processes, the job that retrains, and its settings, from both

What is made stands between two comments, or is the whole file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from common.processes import PROCESSES, Command, Process, Worker
from common.redis_users import CAMERA, NOBODY, TRUTH, RedisUser, sentinel_user
from common.settings import Settings
from sentinel.cli.generated_commands import words as command_words
from sentinel.cli.generated_kubernetes import processes_yaml, retrain_job_yaml, settings_env

_BEGIN, _END = "made by `make generated`", "end of what is made"
# The compose file itself says where Redis, the volumes and Flower's port are, and what must be set.
_FIXED_IN_COMPOSE = frozenset((
    "redis_url", "redis_password", "redis_ca_file", "redis_cert_file", "redis_key_file", "state_dir",
    "watch_dir", "baselines_dir", "flower_host", "flower_port",
    "flower_password", "metrics_host", "metrics_port", "page_host", "page_port", "page_token", "baseline",
    "http_host", "http_port", "heartbeat_file", "allowed_roots",
))  # fmt: skip


def settings_table() -> list[str]:
    """Return the table of settings as lines of Markdown."""
    lines = ["| setting | default | what it does |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = f"`{default}`" if isinstance(default, str | Path | int | float) and str(default) else "unset"
        lines.append(f"| `SENTINEL_{name.upper()}` | {shown} | {field.description} |")
    return lines


def process_table() -> list[str]:
    """Return the table of processes as lines of Markdown."""
    rows = [f"| `{process.name}` | {process.does} | {_when(process)} |" for process in PROCESSES]
    return ["| process | what it does | `sentinel up` starts it |", "|---|---|---|", *rows]


def _when(process: Process) -> str:
    if process.only_with_cameras:
        return "where a stream of sentinel.toml has a `url`"
    names = [f"`SENTINEL_{name.upper()}`" for name in process.only_with]
    return f"where {' or '.join(names)} is set" if names else "always"


def procfile() -> list[str]:
    """Return the Procfile, a line per process."""
    return [f"{process.name}: {' '.join(words(process))}" for process in PROCESSES]


def compose_settings() -> list[str]:
    """Return the settings that reach every service, as lines of YAML: one without a value is passed on if it is set."""
    return [f"    SENTINEL_{name.upper()}:" for name in Settings.model_fields if name not in _FIXED_IN_COMPOSE]


def compose_services() -> list[str]:
    """Return the services, one per process, as lines of YAML. Of those that share an image the first builds it."""
    lines: list[str] = []
    built: set[str] = set()
    for process in PROCESSES:
        image = "worker" if process.embeds_or_trains else "service"
        lines += [f"  {process.name}:", f"    <<: *{image}"]
        if image not in built:
            lines.append(f"    build: *build-{image}")
            built.add(image)
        program, *rest = words(process)
        if isinstance(process.start, Command):
            lines.append(f"    command: {json.dumps(rest)}")
        else:
            lines += [f"    entrypoint: {json.dumps([program, *rest])}", "    command: []"]
        lines += ["    healthcheck:", "      <<: *health"]
        lines.append(f'      test: ["CMD", "sentinel-health", "{process.late_after:.0f}"]')
        if isinstance(process.start, Worker):
            lines.append("    stop_grace_period: ${SENTINEL_VISIBILITY_SECONDS:-45}s  # every task ends within it")
        lines += ["    ports:", *(f'      - "{port}"' for port in process.ports)] if process.ports else []
    return lines


def words(process: Process) -> list[str]:
    """Return the words of a process's command line, settings as variables with their defaults."""
    return command_words(process, lambda name, default: f"${{{name}:-{default}}}")


def redis_users(passwords: Sequence[tuple[RedisUser, str]], indent: str) -> list[str]:
    """Return Redis' users as arguments of redis-server, as lines of YAML, with the variables of their passwords."""
    arguments = [f"--{NOBODY}".split()[0], *NOBODY.split()[1:]]
    for user, variable in passwords:
        arguments += user.arguments(variable)
    return [f"{indent}- {json.dumps(word)}" for word in arguments]


_REDIS_OF_COMPOSE = (
    (sentinel_user(), "${REDIS_PASSWORD:?set a password for Redis}"),
    (CAMERA, "${CAMERA_PASSWORD:?set a password for the cameras}"),
    (TRUTH, "${TRUTH_PASSWORD:?set a password for programs that know what is true of frames}"),
)
_REDIS_OF_KUBERNETES = (
    (sentinel_user(), "$(REDISCLI_AUTH)"),
    (CAMERA, "$(CAMERA_PASSWORD)"),
    (TRUTH, "$(TRUTH_PASSWORD)"),
)


def between(page: str, marker: str, lines: list[str]) -> str:
    """Return `page` with `lines` between the comment that names `marker` and its end."""
    begin = next((line for line in page.splitlines() if marker in line and _BEGIN in line), None)
    if begin is None:
        raise ValueError(f"there is no line that says {marker!r} and {_BEGIN!r}")
    before, _, rest = page.partition(begin + "\n")
    old, end, after = rest.partition(_END)
    indent_of_end = old.rpartition("\n")[2]
    if not end:
        raise ValueError(f"what begins with {begin!r} has no end")
    return f"{before}{begin}\n" + "\n".join(lines) + f"\n{indent_of_end}{end}{after}"


def _compose(page: str) -> str:
    users = between(page, "users:", redis_users(_REDIS_OF_COMPOSE, " " * 6))
    return between(between(users, "settings:", compose_settings()), "services:", compose_services())


FILES: dict[str, Callable[[str], str]] = {
    "docs/settings.md": lambda page: between(page, "settings:", settings_table()),
    "docs/operating.md": lambda page: between(page, "processes:", process_table()),
    "Procfile": lambda _: "\n".join(procfile()) + "\n",
    "docker-compose.yml": _compose,
    "deploy/kubernetes/redis/redis.yaml": lambda page: between(
        page, "users:", redis_users(_REDIS_OF_KUBERNETES, " " * 12)
    ),
    "deploy/kubernetes/base/processes.yaml": lambda _: processes_yaml(),
    "deploy/kubernetes/keda/retrain.yaml": lambda _: retrain_job_yaml(),
    "deploy/kubernetes/base/settings.env": lambda page: between(page, "settings:", settings_env(page)),
}
"""File -> from its content to what it should be."""


if __name__ == "__main__":
    root = Path(sys.argv[1])
    for name, made in FILES.items():
        path = root / name
        text = path.read_text(encoding="utf-8")
        if made(text) != text:
            path.write_text(made(text), encoding="utf-8")
            sys.stdout.write(f"{name} is brought up to date\n")
