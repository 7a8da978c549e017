"""From a trained challenger to a decision: it is compared with the champion, and promoted or not, with its evidence."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from common.baselines.binding import BaselineBinding
from common.contracts.conditions import ConditionRecord
from common.contracts.models import ChampionRecord
from common.contracts.verdicts import Cause
from common.errors import BadModel, NotPromoted
from common.models import folders, registry
from common.models.betting import Finding
from common.models.comparing import Comparison, compare, digests_of
from common.models.conditions import load_examples
from common.models.decisions import record_of, save_decision
from common.models.gate import Decision, Rules, Tested, after_loss, decide
from common.models.material import Material, conditions_of
from common.models.protocols import Examples, Model, ModelKind
from common.models.proving import is_current
from common.models.replay import Replay
from common.models.side_by_side import Shown, draw
from common.settings import Settings
from common.store import Store


@dataclass(frozen=True, eq=False)
class Contest:
    """A challenger, the champion that it was trained from, and the footage of both.

    Attributes
    ----------
    record : of the champion
    materials : the stretches that are to be healed
    earlier : examples of live conditions that were trained on beside them, by the id of the condition
    actions : ids of the actions on their incidents
    """

    record: ChampionRecord
    champion: Model
    challenger: Model
    replay: Replay
    materials: Sequence[Material]
    earlier: Mapping[str, Examples]
    actions: Sequence[str]

    @property
    def trained_on(self) -> frozenset[str]:
        """Digests of the examples that the challenger was trained on."""
        parts = [self.replay.training, *self.earlier.values(), *(material.training for material in self.materials)]
        return frozenset[str]().union(*(digests_of(examples) for examples in parts))


def settle(
    store: Store, settings: Settings, baselines: BaselineBinding, kind: ModelKind[Model], contest: Contest
) -> tuple[ChampionRecord, Decision]:
    """Decide a contest, store the decision, and promote the challenger if it passed; return the champion afterwards.

    Raises
    ------
    NotPromoted
        If somebody else changed the champion meanwhile. The evidence is then removed: nothing was decided.
    BadModel
        If the decision or the challenger cannot be written.
    """
    record = contest.record
    live = [row for row in record.conditions if is_current(store, settings, baselines, record.model, row)]
    number = store.champions.count_decision(record.model)
    rules = Rules.of(settings, number)
    comparison = _compare(kind, contest, live, rules)
    decision = decide(comparison, rules)
    evidence, digest = _store(store, settings, kind, contest, comparison, decision, rules, number)
    if not decision.promote:
        store.champions.settle_folders(record.model, [evidence.name])
        folders.remove_old_decisions(store.champions, settings.state_dir, record.model)
        return record, decision
    try:
        promoted = _promote(store, settings, contest, decision, live, evidence, digest)
    except NotPromoted:
        shutil.rmtree(evidence, ignore_errors=True)
        raise
    folders.remove_old_decisions(store.champions, settings.state_dir, record.model)
    return promoted, decision


def _compare(kind: ModelKind[Model], contest: Contest, live: Sequence[ConditionRecord], rules: Rules) -> Comparison:
    examples: dict[str, Examples] = {}
    lost: dict[str, str] = {}
    for condition in live:
        try:
            examples[_name(condition)] = load_examples(condition)
        except BadModel as error:
            lost[_name(condition)] = str(error)
    found = compare(
        kind,
        contest.champion,
        contest.challenger,
        {material.stretch.name: material.held_out for material in contest.materials},
        contest.replay.held_out,
        trained_on=contest.trained_on,
        live=examples,
        lost=lost,
        is_open=lambda scores: rules.gain(scores).finding is Finding.OPEN,
        max_slowdown=rules.max_slowdown,
    )
    return replace(
        found,
        incidents={row.stretch.name: row.incident.id for row in contest.materials},
        lost_db=contest.record.lost_db,
        live_lost_db={_name(row): row.lost_db for row in live},
        decayed=all(row.cause is Cause.MODEL_DECAY for row in contest.materials),
    )


def _name(condition: ConditionRecord) -> str:
    return f"{condition.cause} of {condition.stream}"


def _store(
    store: Store,
    settings: Settings,
    kind: ModelKind[Model],
    contest: Contest,
    comparison: Comparison,
    decision: Decision,
    rules: Rules,
    number: int,
) -> tuple[Path, str]:
    """Store a decision with its evidence; return its folder and its digest."""
    record = contest.record
    held_out = {material.stretch.name: material.held_out for material in contest.materials}
    shown = {name: Shown(held_out[name], scores) for name, scores in comparison.stretches.items() if scores.finite}
    picture = draw(shown, contest.champion, contest.challenger, kind.references())
    folder = folders.decision_folder(settings.state_dir, record.model, number)
    stored = record_of(
        comparison,
        decision,
        rules,
        model=record.model,
        number=number,
        champion=record.version,
        champion_digest=record.model_digest,
        challenger_digest=contest.challenger.digest,
        seed=settings.retrain_seed,
        picture=picture is not None,
        cause=contest.materials[0].cause,
        actions=sorted(set(contest.actions)),
        replayed=sorted(contest.earlier),
    )
    store.champions.begin_folder(record.model, folder.name)
    return folder, save_decision(folder, stored, picture)


def _promote(
    store: Store,
    settings: Settings,
    contest: Contest,
    decision: Decision,
    live: Sequence[ConditionRecord],
    evidence: Path,
    evidence_digest: str,
) -> ChampionRecord:
    """Promote the challenger with all that it is proved on."""
    record, materials = contest.record, contest.materials
    kept = [_kept(row, decision.live[_name(row)]) for row in live]
    gains = [decision.stretches[material.stretch.name].proof.gain_db for material in materials]
    renewed = {(material.stretch.stream, material.cause) for material in materials}
    over = [*record.ended, *(row for row in record.conditions if row not in live)]
    return registry.promote(
        store,
        record,
        contest.challenger,
        [*kept, *conditions_of(store, materials, record.model, gains, settings)],
        ended=[row for row in over if (row.stream, row.cause) not in renewed],
        decision=decision,
        evidence=evidence,
        evidence_digest=evidence_digest,
        state_dir=settings.state_dir,
    )


def _kept(condition: ConditionRecord, tested: Tested) -> ConditionRecord:
    """Return a condition as the promoted challenger does on it."""
    lost = after_loss(condition.lost_db, -tested.bets.mean_db)
    return condition.model_copy(update={"gain_db": tested.proof.gain_db, "lost_db": lost})
