"""The promotion gate: a challenger must heal what drifted, lose nothing, and be proved on all live conditions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from common.features import FloatArray
from common.models.bounds import lower_bound, lower_bound_of_excess, mean
from common.models.proof import Proof, proof_of
from common.models.protocols import Examples, ModelKind, ModelT

_FEWEST = 4  # held-out examples of each kind of footage; fewer are not enough for a decision


@dataclass(frozen=True)
class Decision:
    """The gate's decision.

    Attributes
    ----------
    promote : whether the challenger becomes champion
    reason : why, with the figures
    gain_db : mean gain on drifted footage, dB PSNR
    loss_db : mean loss on golden footage, dB PSNR; negative: a gain
    """

    promote: bool
    reason: str
    gain_db: float
    loss_db: float


@dataclass(frozen=True, eq=False)
class Scores:
    """PSNR, in dB, on the same held-out examples of one piece of footage, in the same order.

    Attributes
    ----------
    champion, challenger : (n,) float32
    references : (n,) float32 of each predictor that never learned anything, by name
    digests : of the examples, see `digests_of`
    """

    champion: FloatArray
    challenger: FloatArray
    references: Mapping[str, FloatArray]
    digests: frozenset[str]

    @property
    def gains_db(self) -> FloatArray:
        """(n,) challenger's PSNR minus champion's for each example, in dB."""
        return self.challenger - self.champion

    @property
    def finite(self) -> bool:
        """Whether every score is a number."""
        return all(np.isfinite(row).all() for row in (self.champion, self.challenger, *self.references.values()))


@dataclass(frozen=True, eq=False)
class Comparison:
    """Everything that the gate decides on.

    Attributes
    ----------
    stretches : scores on the held-out part of each drifted stretch, by name
    golden : scores on the held-out golden examples
    trained_on : digests of all examples that the challenger was trained on
    live : proof of the challenger on each live condition of the model, by the condition's name
    """

    stretches: Mapping[str, Scores]
    golden: Scores
    trained_on: frozenset[str]
    live: Mapping[str, Proof]


def compare(
    kind: ModelKind[ModelT],
    champion: ModelT,
    challenger: ModelT,
    stretches: Mapping[str, Examples],
    golden: Examples,
    *,
    trained_on: frozenset[str],
    live: Mapping[str, Proof],
) -> Comparison:
    """Score both models and the references of their kind on the same held-out examples.

    Parameters
    ----------
    stretches : (n, ...) held-out examples of each drifted stretch, by name
    golden : (m, ...) held-out golden examples
    trained_on, live : see `Comparison`
    """

    def scores(examples: Examples) -> Scores:
        references = kind.references()
        rows = kind.score([champion, challenger, *references.values()], examples)
        return Scores(rows[0], rows[1], dict(zip(references, rows[2:], strict=True)), digests_of(examples))

    found = {name: scores(examples) for name, examples in stretches.items()}
    return Comparison(found, scores(golden), trained_on, live)


def digests_of(examples: Examples) -> frozenset[str]:
    """Return a digest of the content of each of n examples (n, ...)."""
    return frozenset(hashlib.blake2b(row.tobytes(), digest_size=16).hexdigest() for row in examples)


def decide(comparison: Comparison, *, min_gain_db: float, max_loss_db: float) -> Decision:
    """Decide whether a challenger replaces the champion.

    It is refused, in this order,

    - if a stretch or the golden footage has too few held-out examples, some of
      which were trained on, or has scores that are not finite;
    - if it is not surely above every reference on a stretch;
    - if the mean gain on drifted footage is below `min_gain_db`, because with
      many examples even a negligible gain is significant;
    - if the lower confidence bound of the gain is not above 0, over all
      stretches or on one of them;
    - if it gains on golden footage, and not surely less there than on drifted
      footage: that is training, not healing;
    - if the upper confidence bound of the loss on golden footage is above
      `max_loss_db`;
    - if it is not proved on a live condition.

    The bounds are those of `bounds`: one-sided, 95%.

    Parameters
    ----------
    comparison : scores of both models on the same examples, dB PSNR
    min_gain_db, max_loss_db : dB PSNR
    """
    stretches = comparison.stretches.values()
    gains = np.concatenate([scores.gains_db for scores in stretches]) if stretches else np.zeros(0, np.float32)
    gain, loss = mean(gains), -mean(comparison.golden.gains_db)
    if (unusable := next(_unusable(comparison), None)) is not None:
        return Decision(False, unusable, gain, loss)
    figures = f"{gain:+.2f} dB on drifted footage (at least {lower_bound(gains):+.2f}), {-loss:+.2f} dB on golden"
    refusals = (*_weak(comparison, gains, min_gain_db), *_harmful(comparison, gains, max_loss_db))
    if refusals:
        return Decision(False, f"{figures}: {refusals[0]}", gain, loss)
    return Decision(True, figures, gain, loss)


def _unusable(comparison: Comparison) -> Iterator[str]:
    """Yield why the scores allow no decision."""
    if not comparison.stretches:
        yield "there is no drifted footage to score on"
    for name, scores in [*comparison.stretches.items(), ("golden footage", comparison.golden)]:
        if len(scores.champion) < _FEWEST:
            yield f"only {len(scores.champion)} examples of {name} to score on, {_FEWEST} are needed"
        elif known := len(scores.digests & comparison.trained_on):
            yield f"{known} held-out examples of {name} were trained on: its scores say nothing"
        elif not scores.finite:
            yield f"the scores on {name} are not finite: the challenger has diverged"


def _weak(comparison: Comparison, gains: FloatArray, min_gain_db: float) -> Iterator[str]:
    """Yield why the challenger does not heal the drifted footage."""
    for name, scores in comparison.stretches.items():
        proof = proof_of(scores.challenger, scores.references)
        if not proof.proved:
            yield f"on {name} {proof.reason}"
    if mean(gains) < min_gain_db:
        yield f"less than the gain of {min_gain_db:.2f} dB asked for"
    if lower_bound(gains) <= 0.0:
        yield "the gain may be an accident"
    for name, scores in comparison.stretches.items():
        if (surely := lower_bound(scores.gains_db)) <= 0.0:
            yield f"no sure gain on {name} ({mean(scores.gains_db):+.2f} dB, at least {surely:+.2f})"


def _harmful(comparison: Comparison, gains: FloatArray, max_loss_db: float) -> Iterator[str]:
    """Yield why the challenger is no healed champion: it was merely trained further, or lost what was good."""
    golden = comparison.golden.gains_db
    if mean(golden) > 0.0 and lower_bound_of_excess(gains, golden) <= 0.0:
        yield "the gain is no greater than that on golden footage: it is training, not healing"
    if (at_worst := -lower_bound(golden)) > max_loss_db:
        yield f"golden footage may lose {at_worst:.2f} dB, more than {max_loss_db:.2f}"
    for name, proof in comparison.live.items():
        if not proof.proved:
            yield f"it fails live condition {name}: {proof.reason}"
