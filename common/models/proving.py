"""Proving a version of a model on conditions, from the examples that each condition keeps."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from common.contracts.conditions import ConditionRecord
from common.contracts.models import ChampionRecord
from common.errors import BadModel
from common.models.conditions import load_examples
from common.models.kinds import load_kind
from common.models.proof import Proof, prove
from common.models.protocols import Model, ModelKind

log = logging.getLogger(__name__)


def proved_conditions(version: ChampionRecord, conditions: Sequence[ConditionRecord]) -> list[ConditionRecord]:
    """Return those of `conditions` that a version of a model is proved on, with its gain there.

    Raises
    ------
    BadModel
        If the version cannot be loaded, or no entry point offers its model.
    """
    if not conditions or version.model_path is None:
        return []
    kind = load_kind(version.model)
    model = kind.load(Path(version.model_path))
    proofs = [(condition, prove_condition(kind, model, condition)) for condition in conditions]
    return [row.model_copy(update={"gain_db": proof.gain_db}) for row, proof in proofs if proof.proved]


def prove_condition(kind: ModelKind[Model], model: Model, condition: ConditionRecord) -> Proof:
    """Return the proof of `model` on the examples that a condition keeps; there is none if they are gone."""
    try:
        return prove(kind, model, load_examples(condition))
    except BadModel as error:
        log.error("%s", error)
        return Proof(proved=False, reason=str(error), gain_db=0.0, surely_db=0.0, examples=0)
