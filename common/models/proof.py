"""Proof: a model is better on some footage than every predictor that never learned anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.features import FloatArray
from common.models.bounds import lower_bound, mean
from common.models.protocols import Examples, ModelKind, ModelT

# A model copes with footage if its gain there is at least this share of its gain on golden footage. Gains on different
# footage are not equal even where nothing is wrong. Measured on two cameras: 0.6 and more where it was healed; under
# noise, before, it loses.
_COPING_SHARE = 0.5


@dataclass(frozen=True)
class Proof:
    """Whether a model is proved on footage.

    Attributes
    ----------
    proved : whether it is above the strongest reference there, by the lower 95% bound of the mean difference
    reason : why, with the figures
    gain_db : mean gain over the strongest reference, dB
    surely_db : lower 95% bound of that gain, dB
    examples : number of examples that it was scored on
    """

    proved: bool
    reason: str
    gain_db: float
    surely_db: float
    examples: int


def prove(kind: ModelKind[ModelT], model: ModelT, examples: Examples) -> Proof:
    """Score `model` and the references of its kind on `examples` (n, ...), which it was not trained on."""
    references = kind.references()
    if len(examples) < kind.fewest_examples:
        reason = f"only {len(examples)} examples to prove it on, {kind.fewest_examples} are needed"
        return Proof(False, reason, 0.0, 0.0, len(examples))
    scores, *others = kind.score([model, *references.values()], examples)
    return proof_of(scores, dict(zip(references, others, strict=True)))


def proof_of(scores: FloatArray, references: Mapping[str, FloatArray]) -> Proof:
    """Return the proof that scores give: the model is surely above the reference that is best in the mean.

    It is then above the others in the mean too. To be surely above each is too much to ask: on still footage plain
    averaging is nearly perfect, and the few examples that move make the bound of a difference to it as wide as the
    difference.

    Parameters
    ----------
    scores : (n,) score of the model, dB; n at least 2
    references : (n,) score of each reference on the same examples, dB, by name; at least one
    """
    strongest = max(references, key=lambda name: mean(references[name]))
    gains = scores - references[strongest]
    gain, surely = mean(gains), lower_bound(gains)
    figures = f"{gain:+.2f} dB over {strongest} (at least {surely:+.2f}) on {len(scores)} examples"
    if not np.isfinite([scores, *references.values()]).all():
        return Proof(False, "the scores are not finite: the model has diverged", gain, surely, len(scores))
    if surely <= 0.0:
        return Proof(False, f"not surely above {strongest}: {figures}", gain, surely, len(scores))
    return Proof(True, figures, gain, surely, len(scores))


@dataclass(frozen=True)
class Coping:
    """How a model does on a drifted stretch as it is.

    Attributes
    ----------
    proof : of the model on the stretch
    usual_db : its mean gain over the strongest reference on golden footage, dB
    """

    proof: Proof
    usual_db: float

    @property
    def copes(self) -> bool:
        """Whether it is proved there and gains at least half of what it gains on golden footage.

        It then stays, unless a challenger does better.
        """
        return self.proof.proved and self.proof.gain_db >= _COPING_SHARE * self.usual_db

    @property
    def unhurt(self) -> bool:
        """Whether it is proved there and gains no less than on golden footage: nothing is worth a training."""
        return self.proof.proved and self.proof.gain_db >= self.usual_db


def coping(kind: ModelKind[ModelT], model: ModelT, stretch: Examples, golden: Examples) -> Coping:
    """Return how `model` does on a drifted stretch as it is.

    Parameters
    ----------
    stretch : (n, ...) examples of the drifted stretch
    golden : (m, ...) golden examples that the model was not trained on
    """
    return Coping(prove(kind, model, stretch), prove(kind, model, golden).gain_db)
