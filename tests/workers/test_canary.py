"""A champion that is worse on live footage than the version before it is rolled back, through real workers."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import pytest

from common.broker import CANARY_TASK
from common.contracts.decisions import GateOutcome
from common.contracts.models import ChampionRecord
from common.contracts.verdicts import Cause
from common.models import registry
from common.models.canary import bets_on
from common.models.gate import Decision
from common.models.vfi.model import Interpolator
from simulation.model_faults import perturbed
from tests.workers.decaying import STREAM, Yard
from workers import canary, context, embedding, reducer


@dataclass
class Promoted:
    """A yard with a first champion and one that the gate has promoted over it."""

    yard: Yard
    first: ChampionRecord
    champion: ChampionRecord

    def differences(self) -> list[float]:
        found = self.yard.store.canaries.by_chunk(STREAM, self.champion)
        return [value for values in found.values() for value in values]

    def asked(self) -> bool:
        """Whether the retrain worker was asked to look."""
        return any(CANARY_TASK.encode() in task for task in self.yard.store.client.lrange("retrain", 0, -1))


def promoted(yard: Yard, first: Interpolator, challenger: Interpolator, monkeypatch: pytest.MonkeyPatch) -> Promoted:
    yard.settings = yard.settings.model_copy(update={"decay_triplets": 24})
    for module in (context, embedding, reducer, canary):
        monkeypatch.setattr(module, "get_settings", lambda: yard.settings)
    before = yard.crown(first)
    decision = Decision(GateOutcome.PROMOTED, "it seemed better", gain_db=0.3, loss_db=0.0)
    record = registry.promote(
        yard.store, before, challenger, [], decision=decision, evidence=yard.settings.state_dir / "decision-1",
        evidence_digest="d", state_dir=yard.settings.state_dir,
    )  # fmt: skip
    return Promoted(yard, before, record)


def test_a_bad_promotion_is_rolled_back_within_a_hundred_live_triplets(
    yard: Yard, champion: Interpolator, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = promoted(yard, champion, perturbed(champion), monkeypatch)
    yard.show("clean")
    assert bets_on(it.differences()[:100], 1, yard.settings) is not None
    assert it.asked()
    canary.settle("vfi")
    record = yard.store.champions.champion("vfi")
    assert record is not None and record.version == 3
    assert record.model_digest == it.first.model_digest
    assert "v2 turned out worse than v1" in record.reason and f"of stream {STREAM}" in record.reason
    held = yard.store.champions.held("vfi")
    assert held is not None and held.reason == record.reason
    yard.show("clean")
    canary.settle("vfi")
    assert yard.store.champions.champion("vfi") == record, "a rollback is not rolled back"
    assert yard.store.canaries.by_chunk(STREAM, record) == {}


def test_a_sound_promotion_stays_and_is_compared_no_longer_than_the_setting_says(
    yard: Yard, champion: Interpolator, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = promoted(yard, champion, perturbed(champion, share=0.001), monkeypatch)
    yard.settings = yard.settings.model_copy(update={"canary_triplets": 10})
    yard.show("clean")
    count = len(it.differences())
    assert count >= 10
    yard.show("clean")
    assert len(it.differences()) == count
    assert not it.asked()
    canary.settle("vfi")
    assert yard.store.champions.champion("vfi") == it.champion


def test_a_task_that_anybody_sent_changes_nothing(
    yard: Yard, champion: Interpolator, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = promoted(yard, champion, perturbed(champion, share=0.001), monkeypatch)
    yard.show("clean")
    for model in ("vfi", "\n[red]nobody", ""):
        canary.settle(model)
    assert yard.store.champions.champion("vfi") == it.champion


def test_no_promotion_is_compared_where_the_setting_says_so(
    yard: Yard, champion: Interpolator, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = promoted(yard, champion, perturbed(champion), monkeypatch)
    yard.settings = yard.settings.model_copy(update={"canary_triplets": 0})
    yard.show("clean")
    assert it.differences() == [] and not it.asked()


def test_a_stream_whose_camera_is_failing_says_nothing_of_the_model(
    yard: Yard, champion: Interpolator, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard.settings = yard.settings.model_copy(update={"false_alarms_per_day": 1e9})
    it = promoted(yard, champion, perturbed(champion), monkeypatch)
    yard.show("noise", times=10)
    assert [row.cause for row in yard.store.streams.open_incidents(STREAM)] == [Cause.NOISE]
    canary.settle("vfi")
    assert yard.store.champions.champion("vfi") == it.champion
    count = len(it.differences())
    yard.show("noise")
    assert len(it.differences()) == count


def test_a_version_before_that_is_gone_costs_the_comparison_and_not_the_scores(
    yard: Yard, champion: Interpolator, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = promoted(yard, champion, perturbed(champion), monkeypatch)
    shutil.rmtree(str(it.first.model_path))
    yard.show("clean")
    yard.refer()
    assert any(verdict.model is not None for verdict in yard.show("clean"))
    assert it.differences() == []
