"""A real process that retrains is killed with SIGKILL, again and again: what is left is whole, and decided on once."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from common.contracts.incidents import ActionKind
from common.models.conditions import load_condition, load_examples, load_replay
from common.models.decisions import load_decision
from common.models.folders import decision_folders
from common.models.kinds import load_kind
from common.models.versions import load_version
from common.store import keys
from tests.common.models.site import Site, environment_of, statuses
from tests.common.store.test_models import wait_until_due
from workers import reducer

THRIFTY = "tests.common.models.thrifty:KIND"
KILLED = -signal.SIGKILL
RANDOM_RUNS = int(os.environ.get("CHAOS_RETRAININGS", "1"))
"""Retrainings that are killed at random points; `make chaos` has 20."""


def retrain(site: Site, *arguments: str, gain_db: float | None = None, kind: str = THRIFTY) -> int:
    """Run the task as the trigger calls it, after whoever was killed has lost the lease; return the exit code."""
    champions = site.store.champions
    site.store.client.delete(keys.model_key("vfi", "lease"))  # twenty seconds later
    champions.note_waiting("vfi", "dock")
    site.store.client.zadd(keys.DUE, {"vfi": 0.0})  # and a minute
    assert wait_until_due(site.store) == ["vfi"]
    environment = environment_of(site, SENTINEL_PROMOTE_MIN_GAIN_DB=str(gain_db or site.settings.promote_min_gain_db))
    command = [sys.executable, "-m", "tests.common.models.killed", kind, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in {0, KILLED}, done.stderr
    reducer.reduce("dock")
    return done.returncode


def require_whole(site: Site, *, promoted: bool) -> None:
    """Check the registry, what lies on disk, and what the incident says."""
    history = site.store.champions.history("vfi")
    assert [row.version for row in history] == list(range(1, 3 if promoted else 2))
    assert history[-1] == site.champion
    for version in history:
        load_version(load_kind("vfi"), version)
    for condition in site.conditions:
        assert load_condition(condition).record == condition
        replayed = load_replay(condition)
        assert len(load_examples(condition)) == 120
        assert replayed is not None and len(replayed)
    assert len(site.conditions) == int(promoted)

    (kept,) = decision_folders(site.settings.state_dir, "vfi")
    decision = load_decision(kept, history[-1].decision_digest)
    assert decision.incidents == (site.incident("dock").id,)
    versions = {str(Path(row.model_path).parent) for row in history if row.model_path}
    lying = [path for part in ("champions", "conditions") for path in folders(site, part)]
    assert sorted(map(str, lying)) == sorted(versions | {str(kept)} | {row.path for row in site.conditions})
    assert site.store.champions.folders_begun("vfi") == set()

    actions = [row for row in site.incident("dock").actions if row.kind is ActionKind.RETRAIN]
    assert all(row.ended_at is not None for row in actions)
    told = "v2 promoted", "v2 is proved on it"
    assert any(word in row.outcome for row in actions for word in (told if promoted else (decision.reason,)))
    assert promoted or "v2" not in " ".join(row.outcome for row in actions)


def folders(site: Site, part: str) -> list[Path]:
    folder = site.settings.state_dir.resolve() / part / "vfi"
    return list(folder.iterdir()) if folder.is_dir() else []


@pytest.mark.parametrize(
    ("promoted", "places"),
    [
        # the first champion is half written; the challenger is there, and the condition half written; all is there,
        # the decision too, but nobody has promoted
        (True, [r"open .*/v1-.*shares", r"rename .*/conditions/vfi/\.", r"redis EVALSHA .*champion.*v2-"]),
        # the decision is half written; it is there and in the making; the incident has not been told
        (False, [r"rename .*/\.d\d+-", r"redis SREM .*making d\d+-\d+$", r"redis .*inbox.*surely gains less"]),
    ],
    ids=["promoted", "refused"],
)
def test_a_retraining_that_is_killed_is_decided_on_once_and_leaves_nothing_behind(
    site: Site, promoted: bool, places: list[str]
) -> None:
    site.show("dock", "noise")
    gain = None if promoted else 3.0
    for place in places:
        assert retrain(site, "--before", place, gain_db=gain) == KILLED, place
    assert folders(site, "champions"), "it had begun"
    assert retrain(site, gain_db=gain) == 0
    require_whole(site, promoted=promoted)
    assert retrain(site, gain_db=gain) == 0
    require_whole(site, promoted=promoted)
    assert statuses(site.show("dock", "noise again")) == {"PASS" if promoted else "FAIL"}


@pytest.mark.timeout(60 + 90 * RANDOM_RUNS)
def test_it_does_not_matter_where_it_is_killed(site: Site, tmp_path: Path) -> None:
    numbers = random.Random(RANDOM_RUNS)
    points = 0
    for run in range(RANDOM_RUNS + 1):
        site.store.client.flushall()
        shutil.rmtree(site.settings.state_dir, ignore_errors=True)
        promoted = run % 2 == 0
        gain = None if promoted else 3.0
        site.show("dock", "noise")
        for _ in range(2 if run else 0):
            where = numbers.randint(1, points)
            retrain(site, "--at", str(where), gain_db=gain)
        assert retrain(site, "--count", str(tmp_path / "count"), gain_db=gain) == 0
        points = max(points, int((tmp_path / "count").read_text().splitlines()[0]))
        require_whole(site, promoted=promoted)
