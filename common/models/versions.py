"""Loading a version of a model as the history names it."""

from __future__ import annotations

from pathlib import Path

from common.contracts.models import ChampionRecord
from common.errors import BadModel
from common.models.protocols import ModelKind, ModelT


def load_version(kind: ModelKind[ModelT], record: ChampionRecord) -> ModelT:
    """Return the model of a version, after verifying that its weights are those that its record names.

    A kind of model verifies that a folder is whole. What is whole may still be another model: one that was saved or
    copied over it.

    Raises
    ------
    BadModel
        If its files are missing, damaged, or those of another model, or a version before 0.3 kept none.
    OutdatedModel
        If they are of an architecture of before.
    """
    if record.model_path is None or record.model_digest is None:
        raise BadModel(
            f"v{record.version} of model {record.model!r} was made before 0.3 and has no weights that can be used"
        )
    model = kind.load(Path(record.model_path))
    if model.digest != record.model_digest:
        raise BadModel(
            f"the model in {record.model_path} is not the one that became v{record.version} of {record.model!r}: "
            "restore it, or roll back with `sentinel champions rollback`"
        )
    return model
