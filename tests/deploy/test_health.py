"""The health check of the containers, as the shell runs it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "deploy" / "images" / "sentinel-health.sh"


def check(file: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        ["sh", SCRIPT, *arguments],
        env={**os.environ, "SENTINEL_HEARTBEAT_FILE": str(file)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_a_container_is_healthy_as_long_as_its_heartbeat_is_young_enough(tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    code, said = check(file)
    assert (code, "no heartbeat yet" in said) == (1, True)
    file.touch()
    assert check(file) == (0, "")
    os.utime(file, (time.time() - 60,) * 2)
    code, said = check(file)
    assert (code, "60 s ago" in said or "61 s ago" in said) == (1, True)
    assert check(file, "120") == (0, "")


def test_what_is_no_age_makes_no_container_healthy(tmp_path: Path) -> None:
    (tmp_path / "heartbeat").touch()
    assert check(tmp_path / "heartbeat", "embed")[0] != 0
