"""Healing: what a retraining does for the streams that wait, from their incidents to proved conditions.

For each failing incident: join its windows into stretches, let the policy choose those that may
be trained on, read their frames. Stretches of one cause are healed together: a challenger is
trained and goes through the gate, unless the champion does there as well as on golden footage.
Where none is promoted and the champion copes as it is, it is proved. A promotion proves every live
condition of the model again. A champion that decayed is always replaced: its footage passes golden,
so there is nothing to prove it on and no condition to add.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import redis

from common.baselines.binding import BaselineBinding
from common.contracts.incidents import ActionKind, Incident, IncidentState
from common.contracts.models import ChampionRecord
from common.contracts.policy import Policy
from common.contracts.verdicts import Cause
from common.errors import BadBaseline, NothingToLearnFrom, OutdatedModel, Refused, SettingsError, TrainingFailed
from common.models import condition_records, registry
from common.models.broken_off import came_to, failing_incidents, noted_incidents, stretches_of, unended
from common.models.cases import Case, Outcome
from common.models.deciding import Contest, settle
from common.models.decisions import find_decision
from common.models.fine_tuning import fine_tune
from common.models.folders import decision_folders, remove_unfinished
from common.models.incident_actions import BROKE_OFF, Leave, action_of, begin, end, was_tried, why_broken
from common.models.material import Material, conditions_of, gather
from common.models.memory import Room
from common.models.policy import cause_to_train, parts
from common.models.proof import Coping, coping
from common.models.protocols import Model, ModelKind, Remembering
from common.models.renewal import expiring, renew
from common.models.replay import Replay, condition_replay, pooled_replay
from common.models.reporting import Report, of_training
from common.models.versions import load_version
from common.settings import Settings
from common.store import Store


class Healer:
    """Heals one model. Whoever calls it holds the model's lease.

    Parameters
    ----------
    name : of the model
    kind : what it is a model of
    report : is told of the progress
    leave : puts a note about an incident into its stream's inbox
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        baselines: BaselineBinding,
        name: str,
        kind: ModelKind[Model],
        *,
        report: Report,
        leave: Leave,
    ) -> None:
        self.store = store
        self.settings = settings
        self.baselines = baselines
        self.name = name
        self.kind = kind
        self.policy = Policy.parse(settings.policy)
        self.outcome = Outcome()
        """So far, where it breaks off."""
        self._report = report
        self._leave = leave

    def incidents(self, streams: Sequence[str]) -> list[Incident]:
        """Return the failing incidents of `streams`."""
        return failing_incidents(self.store, self.settings, self.name, streams)

    def end_broken_off(self, streams: Sequence[str], why: str = "") -> None:
        """End what killed retrainings have begun for the incidents of `streams` and this one will not go on with.

        Folders that they left unfinished are removed.

        Parameters
        ----------
        why : how it ended, where none goes on with it; empty: what it had done by then
        """
        remove_unfinished(self.store.champions, self.settings.state_dir, self.name)
        kept = decision_folders(self.settings.state_dir, self.name)
        champion = self.store.champions.champion(self.name)
        version = champion.version if champion else 0
        for incident in (row for stream in streams for row in noted_incidents(self.store, stream)):
            goes_on = incident.state is IncidentState.FAILING and not why
            mine = action_of(incident, ActionKind.RETRAIN, version).id if goes_on else None
            for action in unended(incident):
                if action.id != mine:
                    decided = find_decision(kept, {action.id})
                    end(self._leave, incident, action, why or came_to(incident, champion, decided))

    def heal(self, streams: Sequence[str]) -> Outcome:
        """Deal with the incidents and the conditions of the streams that wait.

        Raises
        ------
        BadModel
            If the champion cannot be loaded.
        NotPromoted
            If somebody else changed the champion meanwhile.
        """
        self.end_broken_off(streams)
        champion = self.store.champions.champion(self.name)
        cases: list[Case] = []
        try:
            for incident in self.incidents(streams):
                with self.outcome.attempt([incident.stream]):
                    if case := self._open(incident, champion):
                        cases.append(case)
            self._read(cases, champion)
            self._heal_cases(champion, cases, streams)
        except Exception as error:
            for case in cases:
                case.outcomes.insert(0, f"{BROKE_OFF}: {why_broken(error)}")
            raise
        finally:
            for case in cases:
                outcome = "; ".join(dict.fromkeys(case.outcomes)) or "refused: nothing of it can be trained on"
                end(self._leave, case.incident, case.action, outcome)
            with suppress(redis.RedisError):  # else the next retraining does it
                remove_unfinished(self.store.champions, self.settings.state_dir, self.name)
        return self.outcome

    def _heal_cases(self, champion: ChampionRecord | None, cases: Sequence[Case], streams: Sequence[str]) -> None:
        groups: dict[Cause, list[tuple[Case, Material]]] = {}
        for case in cases:
            for material in case.materials:
                groups.setdefault(material.cause, []).append((case, material))
        fresh = expiring(self.store, streams, champion) if champion else []
        if not groups and not fresh:
            return
        everything = [row for group in groups.values() for row in group]
        with self.outcome.attempt([*_streams(everything), *(row.condition.stream for row in fresh)]):
            try:
                replay = pooled_replay(self.store, self.settings, self.baselines, self.name, self.kind)
            except NothingToLearnFrom as error:
                self._conclude(everything, f"refused: {error}", healed=False)
                return
            champion, model = self._champion(champion, replay)
        for row in fresh:
            self._report("proving again", 0.0, f"{row.condition.cause} of {row.condition.stream}")
            champion = renew(self.store, self.settings, self.kind, champion, model, row, self.outcome)
        for cause, group in groups.items():
            with self.outcome.attempt(_streams(group)):
                champion, model = self._heal_together(champion, model, replay, cause, group)

    # --- what there is to heal

    def _open(self, incident: Incident, champion: ChampionRecord | None) -> Case | None:
        """Return the case of an incident; None if the same was tried before."""
        case = Case(incident, action_of(incident, ActionKind.RETRAIN, champion.version if champion else 0))
        if was_tried(incident, case.action):
            return None
        begin(self._leave, incident, case.action)
        try:
            golden = self.baselines.of_stream(incident.stream)
            stretches = stretches_of(self.store, self.settings, incident, golden, champion)
            if not stretches and champion is not None:
                decayed = incident.cause is Cause.MODEL_DECAY
                took = "took the place of the model that decayed" if decayed else "is proved on it"
                case.outcomes.append(f"v{champion.version} {took}")
        except (BadBaseline, SettingsError, Refused) as error:  # evidence that cannot be read is a `BadMessage`
            stretches = []
            self._refuse(case, error)
        for stretch in stretches:
            for part in parts(stretch, self.policy):
                try:
                    case.chosen.append((golden, part, cause_to_train(part.causes, self.policy)))
                except NothingToLearnFrom as error:
                    self._refuse(case, error)
        return case

    def _read(self, cases: Sequence[Case], champion: ChampionRecord | None) -> None:
        """Read the frames of the stretches that may be trained on, as many as there is memory for."""
        number = self.store.champions.decisions(self.name) + 1
        conditions, ended = (champion.conditions, champion.ended) if champion else ((), ())
        room = Room(
            self.kind,
            self.settings.retrain_memory_mb,
            stretches=sum(len(case.chosen) for case in cases),
            conditions=len(conditions),
        )
        for case, golden, stretch, cause in ((owner, *row) for owner in cases for row in owner.chosen):
            try:
                with self.outcome.attempt([case.incident.stream]):
                    material = gather(
                        case.incident, stretch, cause, golden, self.kind, self.settings, number, room.take
                    )
                    material.require_first_of_its_cause(conditions, ended)
                    material.require_uniform()
                    material.require_like(case.materials)
                    case.materials.append(material)
            except Refused as error:
                self._refuse(case, error, in_vain=True)
        if isinstance(self.kind, Remembering):
            self.kind = self.kind.remembering(room.left_bytes)

    def _refuse(self, case: Case, error: Exception, *, in_vain: bool = False) -> None:
        case.outcomes.append(f"refused: {error}")
        self.outcome.refuse(case.incident.stream, f"{case.incident.stream}: {error}", in_vain=in_vain)

    # --- healing

    def _champion(self, champion: ChampionRecord | None, replay: Replay) -> tuple[ChampionRecord, Model]:
        """Return the champion and its model; the first one is fitted to golden footage, once, and saved.

        One whose architecture is outdated is replaced like none.
        """
        if champion is not None and champion.model_path is not None and champion.model_digest is not None:
            with suppress(OutdatedModel):
                return champion, load_version(self.kind, champion)
        self._report("fitting the first champion", 0.0, "")
        model = self.kind.first_model(replay.training, steps=self.settings.first_steps, seed=self.settings.retrain_seed)
        record = registry.register_first(self.store, self.name, model, champion, self.settings.state_dir)
        return record, model

    def _heal_together(
        self,
        champion: ChampionRecord,
        model: Model,
        replay: Replay,
        cause: Cause,
        group: Sequence[tuple[Case, Material]],
    ) -> tuple[ChampionRecord, Model]:
        """Heal the stretches of one cause; return the champion and its model afterwards."""
        as_it_is: dict[str, Coping] = {}
        if cause is not Cause.MODEL_DECAY:  # a champion that decayed has to be replaced
            as_it_is = {row.stretch.name: coping(self.kind, model, row.proving, replay.held_out) for _, row in group}
        if as_it_is and all(row.unhurt for row in as_it_is.values()):
            return self._proved(champion, group, as_it_is), model
        before = {case.incident.id: self._decided_before(champion, cause, case) for case, _ in group}
        decided = [row for row in group if before[row[0].incident.id] is not None]
        fresh = [row for row in group if row not in decided]
        if decided:
            why = next(reason for reason in before.values() if reason is not None)
            champion = self._stays(champion, decided, as_it_is, why)
        if not fresh:
            return champion, model
        materials = [material for _, material in fresh]
        earlier = condition_replay(self.store, self.settings, self.baselines, champion)
        try:
            challenger = fine_tune(
                self.kind,
                model,
                materials,
                replay,
                list(earlier.values()),
                self.settings,
                of_training(self._report, cause, self.settings),
            )
        except TrainingFailed as error:
            return self._stays(champion, fresh, as_it_is, str(error)), model
        self._report("comparing", 1.0, cause)
        actions = [case.action.id for case, _ in fresh]
        contest = Contest(champion, model, challenger, replay, materials, earlier, actions)
        record, decision = settle(self.store, self.settings, self.baselines, self.kind, contest)
        if not decision.promote:
            return self._stays(champion, fresh, as_it_is, decision.reason), model
        self._conclude(fresh, f"v{record.version} promoted: {decision.reason}", healed=True)
        return record, challenger

    def _stays(
        self,
        champion: ChampionRecord,
        group: Sequence[tuple[Case, Material]],
        as_it_is: Mapping[str, Coping],
        why: str,
    ) -> ChampionRecord:
        """Keep the champion, and prove it on streams of which it copes with every stretch; return its record then.

        A condition of one stretch would let the others of its stream pass, which are like it.
        """
        lost = {
            material.stretch.stream
            for _, material in group
            if (found := as_it_is.get(material.stretch.name)) is None or not found.copes
        }
        coped = [row for row in group if row[1].stretch.stream not in lost]
        hurt = [row for row in group if row not in coped]
        if coped:
            champion = self._proved(champion, coped, as_it_is, why)
        if hurt:
            self._conclude(hurt, f"v{champion.version} stays: {why}", healed=False)
        return champion

    def _proved(
        self,
        champion: ChampionRecord,
        group: Sequence[tuple[Case, Material]],
        as_it_is: Mapping[str, Coping],
        refused: str = "",
    ) -> ChampionRecord:
        """Add conditions of stretches that the champion copes with; return its record afterwards.

        Parameters
        ----------
        refused : why no challenger took its place; empty: none was trained
        """
        proofs = [as_it_is[material.stretch.name].proof for _, material in group]
        materials = [material for _, material in group]
        gains = [proof.gain_db for proof in proofs]
        proved = conditions_of(self.store, materials, self.name, gains, self.settings)
        champion = condition_records.add_conditions(self.store, champion, proved)
        how = "as it is" if refused else "without training"
        sentence = f"proved {how}: v{champion.version} copes, {proofs[0].reason}"
        self._conclude(group, f"{sentence}; no challenger was better: {refused}" if refused else sentence, healed=True)
        return champion

    def _decided_before(self, champion: ChampionRecord, cause: Cause, case: Case) -> str | None:
        """Return why a challenger was not promoted on the same footage and champion already; None: none was refused.

        A retraining may have been killed before it could tell, also one that made this champion as the first one.
        """
        versions = (champion.version, champion.version - 1)
        same = {action_of(case.incident, ActionKind.RETRAIN, version).id for version in versions}
        decision = find_decision(decision_folders(self.settings.state_dir, self.name), same, cause)
        return None if decision is None or decision.champion != champion.version else decision.reason

    def _conclude(self, group: Sequence[tuple[Case, Material]], outcome: str, *, healed: bool) -> None:
        for case, material in group:
            case.outcomes.append(f"{material.cause}: {outcome}")
            sentence = f"{material.stretch.name}, {material.cause}: {outcome}"
            (self.outcome.heal if healed else self.outcome.refuse)(material.stretch.stream, sentence)


def _streams(group: Sequence[tuple[Case, Material]]) -> list[str]:
    return [material.stretch.stream for _, material in group]
