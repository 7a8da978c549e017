"""Healing: what a retraining does for the streams that wait, from their incidents to proved conditions.

For each failing incident: join its windows into stretches, let the policy choose those that may
be trained on, read their frames. Stretches of one cause are healed together. Where the champion
copes already, it is only proved; else a challenger is trained and goes through the gate. A
promotion proves every live condition of the model again. A champion that decayed is always
trained: its footage passes golden, so there is nothing to prove it on and no condition to add.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from common.baselines.binding import BaselineBinding
from common.baselines.storage import StoredBaseline
from common.contracts.incidents import ActionKind, Incident, IncidentState
from common.contracts.models import ChampionRecord
from common.contracts.policy import Policy
from common.contracts.verdicts import Cause
from common.drift.stretches import Stretch, join_windows
from common.errors import BadBaseline, NothingToLearnFrom, OutdatedModel, Refused, SettingsError
from common.models import condition_records, registry
from common.models.broken_off import came_to, noted_incidents, still_failing, unended
from common.models.cases import Case, Outcome
from common.models.deciding import Contest, settle
from common.models.incident_actions import BROKE_OFF, Leave, action_of, begin, end, was_tried
from common.models.material import Material, conditions_of, gather
from common.models.policy import cause_to_train
from common.models.proof import copes
from common.models.protocols import Model, ModelKind, TrainingProgress
from common.models.renewal import expiring, renew
from common.models.replay import Replay, pooled_replay
from common.settings import Settings
from common.store import Store
from common.stream_config import model_of

Report = Callable[[str, float, str], None]
"""Receives a stage, the share of it that is done (0 to 1), and a description."""


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
        return [
            incident
            for stream in streams
            for incident in noted_incidents(self.store, stream)
            if incident.state is IncidentState.FAILING and model_of(self.settings, stream) == self.name
        ]

    def end_broken_off(self, streams: Sequence[str], why: str = "") -> None:
        """End what killed retrainings have begun for the incidents of `streams` and this one will not go on with.

        Parameters
        ----------
        why : how it ended, where none goes on with it; empty: what it had done by then
        """
        champion = self.store.champions.champion(self.name)
        version = champion.version if champion else 0
        for incident in (row for stream in streams for row in noted_incidents(self.store, stream)):
            goes_on = incident.state is IncidentState.FAILING and not why
            mine = action_of(incident, ActionKind.RETRAIN, version).id if goes_on else None
            for action in unended(incident):
                if action.id != mine:
                    end(self._leave, incident, action, why or came_to(incident, champion))

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
            self._heal_cases(champion, cases, streams)
        except Exception as error:
            for case in cases:
                case.outcomes.insert(0, f"{BROKE_OFF}: {error}")
            raise
        finally:
            for case in cases:
                outcome = "; ".join(dict.fromkeys(case.outcomes)) or "refused: nothing of it can be trained on"
                end(self._leave, case.incident, case.action, outcome)
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
            stretches = self._stretches(incident, golden, champion)
            if not stretches and champion is not None:
                decayed = incident.cause is Cause.MODEL_DECAY
                took = "took the place of the model that decayed" if decayed else "is proved on it"
                case.outcomes.append(f"v{champion.version} {took}")
        except (BadBaseline, SettingsError, Refused) as error:  # evidence that cannot be read is a `BadMessage`
            stretches = []
            self._refuse(case, error)
        number = self.store.champions.decisions(self.name) + 1
        for stretch in stretches:
            try:
                cause = cause_to_train(stretch.causes, self.policy)
            except NothingToLearnFrom as error:
                self._refuse(case, error)
                continue
            try:
                material = gather(incident, stretch, cause, golden, self.kind, self.settings, number)
                if champion is not None:
                    material.require_first_of_its_cause(champion.conditions, champion.ended)
                material.require_uniform()
                material.require_like(case.materials)
                case.materials.append(material)
            except Refused as error:
                self._refuse(case, error, in_vain=True)
        return case

    def _stretches(self, incident: Incident, golden: StoredBaseline, champion: ChampionRecord | None) -> list[Stretch]:
        if incident.golden_id != golden.id:
            raise NothingToLearnFrom("its stream has another golden baseline now, by which it is judged from here on")
        rows = []
        for window in incident.windows:
            block = self.store.streams.evidence(incident.stream, window.event_id) if not window.condition else None
            if block is not None:
                rows.append((window, block))
        if not rows:
            raise NothingToLearnFrom("the features of its windows are no longer kept: see SENTINEL_RETENTION_DAYS")
        return join_windows(incident.stream, still_failing(rows, golden, champion, incident.stream, self.settings))

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
                return champion, self.kind.load(Path(champion.model_path))
        self._report("fitting the first champion", 0.0, "")
        model = self.kind.first_model(replay.training, seed=self.settings.retrain_seed)
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
        materials = [material for _, material in group]
        proofs = (
            [copes(self.kind, model, material.proving, replay.held_out) for material in materials]
            if cause is not Cause.MODEL_DECAY
            else []
        )
        if proofs and all(proof.proved for proof in proofs):
            gains = [proof.gain_db for proof in proofs]
            proved = conditions_of(self.store, materials, self.name, gains, self.settings)
            champion = condition_records.add_conditions(self.store, champion, proved)
            self._conclude(
                group, f"proved without training: v{champion.version} copes, {proofs[0].reason}", healed=True
            )
            return champion, model
        challenger = self._train(model, replay, cause, materials)
        return self._decide(champion, model, challenger, replay, group)

    def _decide(
        self,
        champion: ChampionRecord,
        model: Model,
        challenger: Model,
        replay: Replay,
        group: Sequence[tuple[Case, Material]],
    ) -> tuple[ChampionRecord, Model]:
        """Let the gate decide; return the champion and its model afterwards."""
        materials = [material for _, material in group]
        self._report("comparing", 1.0, materials[0].cause)
        contest = Contest(champion, model, challenger, replay, materials)
        record, decision = settle(self.store, self.settings, self.baselines, self.kind, contest)
        if not decision.promote:
            self._conclude(group, f"v{champion.version} stays: {decision.reason}", healed=False)
            return champion, model
        self._conclude(group, f"v{record.version} promoted: {decision.reason}", healed=True)
        return record, challenger

    def _train(self, champion: Model, replay: Replay, cause: Cause, materials: Sequence[Material]) -> Model:
        settings = self.settings

        def report(step: TrainingProgress) -> None:
            share = min(max(step.step / settings.retrain_steps, step.seconds / settings.retrain_seconds), 1.0)
            self._report("training", share, f"{cause}, step {step.step}, {-step.loss:.1f} dB")

        challenger = self.kind.trainer().fine_tune(
            champion,
            np.concatenate([material.training for material in materials]),
            replay.training,
            steps=settings.retrain_steps,
            seconds=settings.retrain_seconds,
            seed=settings.retrain_seed,
            progress=report,
        )
        return challenger.model

    def _conclude(self, group: Sequence[tuple[Case, Material]], outcome: str, *, healed: bool) -> None:
        for case, material in group:
            case.outcomes.append(f"{material.cause}: {outcome}")
            sentence = f"{material.stretch.name}, {material.cause}: {outcome}"
            (self.outcome.heal if healed else self.outcome.refuse)(material.stretch.stream, sentence)


def _streams(group: Sequence[tuple[Case, Material]]) -> list[str]:
    return [material.stretch.stream for _, material in group]
