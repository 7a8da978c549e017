"""What a champion's live scores are held against: its scores on golden footage that no model was fitted to."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.baselines.golden import Golden
from common.baselines.learning.pictures import golden_examples
from common.contracts.model_scores import GoldenScores
from common.errors import BadMessage, NothingToLearnFrom
from common.features import FloatArray
from common.models.protocols import Examples, ModelT, ScoredLive
from common.store import Store

log = logging.getLogger(__name__)

_MOST_GOLDEN = 100  # held-out golden examples that are scored


@dataclass(frozen=True, eq=False)
class GoldenValues:
    """What a champion's live scores are held against.

    Attributes
    ----------
    values : (m, columns)
    behind_db : by how much the champion's own scores are below them, by the column that verdicts state; 0: they are its
        own
    """

    values: FloatArray
    behind_db: float


def golden_values(
    kind: ScoredLive[ModelT], model: ModelT, held_out: Examples, max_loss_db: float, before: FloatArray | None
) -> GoldenValues:
    """Return a champion's scores on golden examples; or those of what was there before it, if it fell behind that.

    A promotion may lose `max_loss_db` on golden footage. A champion that is farther below the version before it, or
    below the model that ships, came to be one in some other way: held against its own scores, it would never be found
    to have decayed.

    Parameters
    ----------
    held_out : (n, ...) golden examples that no model was fitted to
    before : (k, columns) what the scores of the version before were held against, on the same examples; None: not known
    """
    own, shipped = (told(rows) for rows in kind.score_live([model, kind.shipped_model()], held_out))
    if not len(own):
        return GoldenValues(own, 0.0)
    others = [shipped, *([] if before is None else [before])]
    best = max(others, key=lambda values: _mean(values, kind))
    behind = _mean(best, kind) - _mean(own, kind)
    return GoldenValues(best, behind) if behind > max_loss_db else GoldenValues(own, 0.0)


def told(scores: FloatArray) -> FloatArray:
    """Return the rows of scores (n, columns) that say something of a model."""
    return scores[np.isfinite(scores).all(axis=1)]


def golden_scores(store: Store, stream: str) -> GoldenScores | None:
    """Return the golden scores of a stream; None if there are none, or none that this version reads."""
    stored = store.golden_scores.stored(stream)
    if stored is None:
        return None
    try:
        return GoldenScores.from_json(stored)
    except BadMessage as error:
        log.warning("stream %s: its golden scores are made anew: %s", stream, error)
        return None


def examples_of(golden: Golden) -> Examples:
    """Return the golden examples of a stream; raise `NothingToLearnFrom` if none are kept."""
    examples = golden_examples(golden.require().folder)
    if examples is None or not len(examples):
        raise NothingToLearnFrom(
            f"baseline {golden.name!r} keeps no golden frames to score a model on: rebuild it from moving footage"
        )
    return examples


def spread(indices: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return at most `_MOST_GOLDEN` of some indices, evenly spread."""
    most = min(len(indices), _MOST_GOLDEN)
    return np.asarray(indices[np.linspace(0, len(indices) - 1, most).round().astype(int)], np.intp)


def _mean(scores: FloatArray, kind: ScoredLive[ModelT]) -> float:
    """Return the mean of the column that verdicts state."""
    return float(scores[:, stated_column(kind)].mean())


def stated_column(kind: ScoredLive[ModelT]) -> int:
    """Return the place of the column that verdicts state: the first that is judged."""
    return next(place for place, column in enumerate(kind.score_columns) if column.least_loss is not None)
