"""Proving a version of a model on conditions, from the examples that each condition keeps."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from common.baselines.binding import BaselineBinding
from common.contracts.conditions import ConditionRecord
from common.contracts.models import ChampionRecord
from common.errors import BadBaseline, BadModel, SettingsError
from common.models.conditions import load_examples
from common.models.kinds import load_kind
from common.models.proof import Proof, prove
from common.models.protocols import Model, ModelKind
from common.models.versions import load_version
from common.settings import Settings
from common.store import Store
from common.stream_config import model_of

log = logging.getLogger(__name__)


def proved_conditions(version: ChampionRecord, conditions: Sequence[ConditionRecord]) -> list[ConditionRecord]:
    """Return those of `conditions` that a version of a model is proved on, with its gain there.

    Raises
    ------
    BadModel
        If the version's files are missing, damaged or of another model, or no entry point offers its model.
    """
    kind = load_kind(version.model)
    model = load_version(kind, version)  # also where there is nothing to prove: it is to become champion
    proofs = [(condition, prove_condition(kind, model, condition)) for condition in conditions]
    return [row.model_copy(update={"gain_db": proof.gain_db}) for row, proof in proofs if proof.proved]


def prove_condition(kind: ModelKind[Model], model: Model, condition: ConditionRecord) -> Proof:
    """Return the proof of `model` on the examples that a condition keeps; there is none if they are gone."""
    try:
        return prove(kind, model, load_examples(condition))
    except BadModel as error:
        log.error("%s", error)
        return Proof(proved=False, reason=str(error), gain_db=0.0, surely_db=0.0, examples=0)


def is_current(
    store: Store, settings: Settings, baselines: BaselineBinding, model: str, condition: ConditionRecord
) -> bool:
    """Return whether a condition is live, and its stream still has this model and that golden baseline."""
    stream = condition.stream
    if not condition.is_live(store.streams.latest_capture_times().get(stream, time.time())):
        return False
    try:
        golden = baselines.of_stream(stream)
    except (BadBaseline, SettingsError):
        return False
    return model_of(settings, stream) == model and golden.id == condition.golden_id
