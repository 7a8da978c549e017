"""A short chaos run; `make chaos` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.acting import Goals
from tests.chaos.run import Chaos
from tests.converted import share_backbones


@pytest.mark.timeout(500)
def test_every_frame_is_counted_once_whatever_is_killed(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    share_backbones(tmp_path_factory, tmp_path / "state")
    goals = Goals(conditions=0, acceptances=1, rollbacks=0, releases=0)
    ways = ("http", "objects")  # whose servers come with what tests need anyway
    chaos = Chaos(tmp_path, 25, seed=3, kill_every=2.5, redis_kills=1, drift_seconds=12, goals=goals, ways=ways)
    chaos.run()
    assert chaos.problems == []
    assert sum(chaos.kills.values()) >= 5
    assert chaos.kills["redis"] == 1
    assert all(chaos.kills[way] for way in ways)
