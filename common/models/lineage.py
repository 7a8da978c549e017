"""The line of a model's versions: who is champion, who was at a moment, and in what two versions differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common.contracts.decisions import DecisionRecord, GateOutcome
from common.contracts.lineage import LayerChange, Reign, Roles, VersionDiff
from common.contracts.models import ChampionRecord, RetrainReport
from common.errors import BadModel, NotPromoted
from common.features import FloatArray
from common.models.decisions import load_decision
from common.models.folders import decision_folders
from common.models.kinds import load_kind
from common.models.protocols import Layered
from common.models.registry import version_before
from common.models.versions import load_version

CHAMPION, PREVIOUS = "champion", "previous"
"""Names by which a version may be chosen, beside its number."""


def roles(history: Sequence[ChampionRecord], state_dir: Path, running: RetrainReport | None) -> Roles:
    """Return the parts that versions of a model play now.

    Parameters
    ----------
    history : every version of the model, oldest first; at least one
    running : the latest report of the retraining that runs; None: none does
    """
    folders: list[Path] = []
    decided, unreadable = None, ""
    try:
        folders = decision_folders(state_dir, history[-1].model)
        if folders:
            decided = load_decision(folders[-1], _digest_of(folders[-1], history))
    except BadModel as error:
        unreadable = str(error)
    return Roles(
        champion=history[-1].version,
        previous=version_before(history),
        challenger=running,
        decided=decided,
        evidence=str(folders[-1]) if folders else None,
        unreadable=unreadable,
    )


def _digest_of(folder: Path, history: Sequence[ChampionRecord]) -> str | None:
    return next((row.decision_digest for row in history if row.decision == str(folder)), None)


def champion_at(history: Sequence[ChampionRecord], at: float) -> Reign:
    """Return which version was champion at a moment.

    A rollback and a promotion by hand are versions of their own, so the answer counts them too.

    Parameters
    ----------
    history : every version of one model, oldest first; at least one
    at : seconds since the epoch

    Raises
    ------
    NotPromoted
        If there was none yet.
    """
    places = [place for place, record in enumerate(history) if record.created_at <= at]
    if not places:
        first = history[0]
        raise NotPromoted(
            f"model {first.model!r} had no champion yet then: v{first.version} was its first, see `sentinel champions "
            "list`"
        )
    later = history[places[-1] + 1 :]
    return Reign(at=at, champion=history[places[-1]], until=later[0].created_at if later else None)


def chosen_version(history: Sequence[ChampionRecord], name: str) -> ChampionRecord:
    """Return a version by its number, with or without a v, or by its part: `champion` or `previous`.

    Raises
    ------
    NotPromoted
        If there is no such version.
    """
    model = history[-1].model
    wanted: str | None = name.removeprefix("v")
    if name == CHAMPION:
        wanted = str(history[-1].version)
    elif name == PREVIOUS:
        before = version_before(history)
        wanted = None if before is None else str(before)
    for record in history:
        if str(record.version) == wanted:
            return record
    known = ", ".join(f"v{record.version}" for record in history)
    raise NotPromoted(f"model {model!r} has no version {name!r} (there are: {known}): see `sentinel champions list`")


def diff(one: ChampionRecord, other: ChampionRecord) -> VersionDiff:
    """Return in what two versions of one model differ, from the older to the newer, in whatever order they are given.

    What cannot be read is named in `unknown`, and everything else is there.
    """
    old, new = sorted((one, other), key=lambda record: record.version)
    unknown: list[str] = []
    decision = None
    if new.decision is not None:
        try:
            decision = load_decision(Path(new.decision), new.decision_digest)
            _require_about(decision, new)
        except BadModel as error:
            decision = None
            unknown.append(str(error))
    same = old.model_digest is not None and old.model_digest == new.model_digest
    layers: tuple[LayerChange, ...] = ()
    if not same:
        try:
            layers = _layer_changes(old, new)
        except BadModel as error:
            unknown.append(f"how the weights differ: {error}")
    before, after = {row.id: row for row in old.conditions}, {row.id: row for row in new.conditions}
    return VersionDiff(
        model=new.model,
        old=old,
        new=new,
        same_weights=same,
        decision=decision,
        layers=layers,
        gained=tuple(row for key, row in after.items() if key not in before),
        kept=tuple(row for key, row in after.items() if key in before),
        lost=tuple(row for key, row in before.items() if key not in after),
        unknown=tuple(unknown),
    )


def _require_about(decision: DecisionRecord, record: ChampionRecord) -> None:
    """Raise `BadModel` if a decision is not the one that promoted the weights of a version."""
    if decision.outcome is not GateOutcome.PROMOTED or decision.challenger_digest != record.model_digest:
        raise BadModel(f"the decision in {record.decision} is about other weights than those of v{record.version}")


def _layer_changes(old: ChampionRecord, new: ChampionRecord) -> tuple[LayerChange, ...]:
    """Return the layers that differ; raise `BadModel` if a version cannot be loaded or its kind has no layers."""
    kind = load_kind(new.model)
    if not isinstance(kind, Layered):
        raise BadModel(f"models of kind {kind.name!r} cannot say what their layers are")
    before, after = (kind.layers(load_version(kind, record)) for record in (old, new))
    if {name: weights.shape for name, weights in before.items()} != {
        name: weights.shape for name, weights in after.items()
    }:
        raise BadModel("they have other layers")
    changes = [_change(name, before[name], after[name]) for name in before]
    return tuple(change for change in changes if change.largest > 0.0)


def _change(name: str, before: FloatArray, after: FloatArray) -> LayerChange:
    """Return how much the weights of a layer changed, relative to their root mean square.

    Of a layer that was all zero, the newer one's is taken.
    """
    one, other = before.astype(np.float64).ravel(), after.astype(np.float64).ravel()
    unit = _size(one) or _size(other) or 1.0
    difference = np.abs(other - one) / unit
    return LayerChange(layer=name, mean=float(difference.mean()), largest=float(difference.max()))


def _size(weights: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    return float(np.sqrt(np.mean(weights**2)))
