"""Whatever a trainer does, the champion stays, and the incident says why; what it is given, and what it tells."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from tensorflow.errors import ResourceExhaustedError

from common import broker
from common.features import FloatArray
from common.models import fine_tuning
from common.models.comparing import digests_of
from common.models.conditions import load_condition, load_examples, load_replay, save_condition
from common.models.decisions import load_decision
from common.models.folders import decision_folders
from common.models.material import MOST_REPLAYED
from common.models.protocols import Challenger, Examples, TrainingProgress
from tests.common.models.site import Site, environment_of, statuses
from tests.common.models.thrifty import Denoiser, Thrift, ThriftyKind, learned
from tests.common.store.test_models import wait_until_due
from workers import reducer

Told = Callable[[TrainingProgress], None]


def trained(monkeypatch: pytest.MonkeyPatch, train: Callable[[list[Examples], Told], Denoiser]) -> None:
    """Let the trainer do `train` with all that it is given, of which the drifted footage comes first, then golden."""

    def fine_tune(
        self: Thrift, champion: Denoiser, drifted: Examples, replay: Examples, earlier: list[Examples], *,
        steps: int, seconds: float, seed: int, progress: Told,
    ) -> Challenger[Denoiser]:  # fmt: skip
        return Challenger(train([drifted, replay, *earlier], progress), 1, 0.1)

    monkeypatch.setattr(Thrift, "fine_tune", fine_tune)


def raising(error: Exception) -> Callable[[list[Examples], Told], Denoiser]:
    def train(given: list[Examples], progress: Told) -> Denoiser:
        raise error

    return train


def endless(given: list[Examples], progress: Told) -> Denoiser:
    step = 0
    while True:
        step += 1
        progress(TrainingProgress(step, 0.0, -30.0))
        time.sleep(0.01)


FAILURES = {
    "no memory for an array": (raising(MemoryError()), "ran out of memory (MemoryError): lower SENTINEL_RETRAIN_MEM"),
    "no memory for a tensor": (
        raising(ResourceExhaustedError(None, None, "OOM when allocating tensor")),
        "ran out of memory (ResourceExhaustedError): lower SENTINEL_RETRAIN_MEMORY_MB",
    ),
    "an error of its own": (raising(ZeroDivisionError("by zero")), "the trainer broke: ZeroDivisionError: by zero"),
    "no end": (endless, "the trainer went on for more than 0 s (SENTINEL_RETRAIN_SECONDS)"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_trainer_that_fails_is_a_refusal_that_says_why(
    site: Site, failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, said = FAILURES[failure]
    monkeypatch.setattr(fine_tuning, "_GRACE_SECONDS", 0.2)
    own = site.settings.model_copy(update={"retrain_seconds": 0.1})
    with monkeypatch.context() as patch:
        trained(patch, train)
        site.show("dock", "noise")
        assert site.heal("dock", settings=own).settled_as("dock") == "rejected"
    assert site.champion is not None and site.champion.version == 1, "the first one, fitted to golden footage"
    assert site.said("dock").startswith(f"noise: v1 stays: the {'training' if 'memory' in failure else 'trainer'}")
    assert said in site.said("dock")
    assert decision_folders(site.settings.state_dir, "vfi") == [], "nothing was decided"
    site.show("dock", "noise again")
    assert site.heal("dock").settled_as("dock") == "promoted", "by a trainer that works"


def test_a_trainer_that_is_still_at_work_when_its_task_has_to_end_is_said_to_be(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.show("dock", "noise")
    with monkeypatch.context() as patch:
        trained(patch, raising(SoftTimeLimitExceeded()))
        with pytest.raises(SoftTimeLimitExceeded):
            site.heal("dock")
    assert site.said("dock") == "broke off: the time limit of its task was reached while it worked"
    assert site.heal("dock").settled_as("dock") == "promoted", "what broke off is tried again with the same footage"


def test_a_trainer_that_hangs_in_a_real_worker_ends_with_its_task(site: Site, tmp_path: Path) -> None:
    site.show("dock", "noise")
    champions = site.store.champions
    champions.note_waiting("vfi", "dock")
    assert wait_until_due(site.store) == ["vfi"]
    broker.send_retrain("vfi")
    words = ["celery", "-A", "tests.common.models.hanging", "worker", "-Q", "retrain", "-c", "1"]
    with (tmp_path / "worker.log").open("wb") as log:
        worker = subprocess.Popen([sys.executable, "-m", *words], env=environment_of(site), stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 90
            while champions.waiting("vfi"):
                assert time.monotonic() < deadline, (tmp_path / "worker.log").read_text()
                time.sleep(0.2)
        finally:
            worker.terminate()
            worker.wait(60)
    reducer.reduce("dock")
    assert site.said("dock") == "broke off: the time limit of its task was reached while it worked"
    assert site.champion is None or site.champion.version == 1
    assert site.heal("dock").settled_as("dock") == "promoted", "by a trainer that works, on the same footage"


def test_what_a_listener_raises_is_no_fault_of_the_trainer(site: Site) -> None:
    def away(stage: str, *_: object) -> None:
        if stage == "training":
            raise ConnectionError("Redis is away")

    site.show("dock", "noise")
    with pytest.raises(ConnectionError):
        site.heal("dock", report=away)
    assert site.said("dock") == "broke off: Redis is away"


def test_a_model_whose_scores_are_no_numbers_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    score = ThriftyKind.score

    def diverged(self: ThriftyKind, predictors: list[Denoiser], examples: Examples) -> FloatArray:
        found = score(self, predictors, examples)
        found[[getattr(row, "shares", {}).get(99) is not None for row in predictors]] = np.nan
        return found

    monkeypatch.setattr(ThriftyKind, "score", diverged)
    trained(monkeypatch, lambda given, progress: Denoiser({99: 1.0}))
    site.show("dock", "noise")
    assert site.heal("dock").settled_as("dock") == "rejected"
    assert "are not finite: the challenger has diverged" in site.said("dock")
    assert site.champion is not None and site.champion.version == 1
    assert statuses(site.show("dock", "noise again")) == {"FAIL"}


# --- memory


def test_of_more_footage_than_there_is_memory_for_the_rest_waits_and_the_setting_is_named(site: Site) -> None:
    site.show("dock", "noise")
    site.show("gate", "noise again")
    own = site.settings.model_copy(update={"retrain_memory_mb": 155})
    outcome = site.heal("dock", "gate", settings=own)
    assert (outcome.settled_as("dock"), outcome.settled_as("gate")) == ("promoted", "rejected"), site.said("dock")
    assert "MB are left: raise SENTINEL_RETRAIN_MEMORY_MB, or wait until others are healed" in site.said("gate")
    (kept,) = decision_folders(site.settings.state_dir, "vfi")
    assert [row.name for row in load_decision(kept).stretches] == ["dock@0"]
    assert site.heal("gate", settings=own).settled_as("gate") == "promoted", "now that another champion serves"


# --- replay


def test_golden_footage_and_earlier_conditions_are_trained_on_and_what_they_are_proved_on_never_is(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.show("dock", "noise")
    site.heal("dock")
    (condition,) = site.conditions
    proving, replay = load_examples(condition), load_replay(condition)
    assert replay is not None
    assert 24 <= len(replay) <= MOST_REPLAYED
    assert not digests_of(proving) & digests_of(replay)
    given: list[Examples] = []

    def remember(parts: list[Examples], progress: Told) -> Denoiser:
        given.extend(parts)
        return Denoiser({level: share for part in reversed(parts) for level, share in learned(part).items()})

    trained(monkeypatch, remember)
    site.show("gate", "noise worse")
    assert site.heal("gate").settled_as("gate") == "promoted", site.said("gate")
    drifted, golden, earlier = given
    np.testing.assert_array_equal(earlier, replay)
    assert len(golden) > 40
    assert not digests_of(proving) & digests_of(np.concatenate([drifted, golden, earlier]))
    decision = load_decision(decision_folders(site.settings.state_dir, "vfi")[-1])
    assert decision.replayed == (condition.id,)
    assert decision.trained_on == len(digests_of(np.concatenate(given)))


def test_a_condition_that_keeps_nothing_to_train_on_is_not_replayed_and_still_proved(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were made before 0.4."""
    site.show("dock", "noise")
    site.heal("dock")
    assert site.champion is not None
    (condition,) = site.conditions
    digest = save_condition(Path(condition.path), load_condition(condition).segment, load_examples(condition))
    old = site.champion.model_copy(update={"conditions": (condition.model_copy(update={"digest": digest}),)})
    site.store.champions.amend("vfi", lambda champion: (old, []))
    given: list[int] = []

    def count(parts: list[Examples], progress: Told) -> Denoiser:
        given.append(len(parts))
        return Denoiser({level: share for part in reversed(parts) for level, share in learned(part).items()})

    trained(monkeypatch, count)
    site.show("gate", "noise worse")
    site.heal("gate")
    assert given == [2], "drifted and golden footage"
    decision = load_decision(decision_folders(site.settings.state_dir, "vfi")[-1])
    assert decision.replayed == ()
    assert [row.name for row in decision.conditions] == ["noise of dock"]


# --- progress


def test_step_loss_and_check_psnr_are_reported(site: Site) -> None:
    heard: list[tuple[str, str, TrainingProgress | None]] = []

    def report(stage: str, share: float, detail: str, training: TrainingProgress | None = None) -> None:
        heard.append((stage, detail, training))

    site.show("dock", "noise")
    site.heal("dock", report=report)
    told = [row for row in heard if row[0] == "training"]
    assert told == [
        ("training", "noise, step 1, 30.00 dB, 29.50 dB on check examples", TrainingProgress(1, 0.1, -30.0, 29.5))
    ]
    assert all(training is None for stage, _, training in heard if stage != "training")
