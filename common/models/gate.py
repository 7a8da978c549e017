"""The promotion gate: the gain must be large enough and significant, and the loss on golden footage bounded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit  # scipy.stats has it too, and takes half a second to import

from common.features import FloatArray
from common.models.vfi.scores import Scores

_CONFIDENCE = 0.95  # of each one-sided bound
_BLOCKS = 8  # errors of neighbouring triplets are correlated, so block means are the samples
_FEWEST = 4  # held-out triplets of each kind; fewer are not enough for a decision


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


def decide(scores: Scores, *, min_gain_db: float, max_loss_db: float) -> Decision:
    """Decide whether a challenger replaces the champion.

    It is promoted if, over paired held-out triplets,

    - the mean gain on drifted footage is at least `min_gain_db`, because with
      many triplets even a negligible gain is significant;
    - the gain's lower confidence bound is above 0;
    - the upper confidence bound of the loss on golden footage is at most
      `max_loss_db`.

    The bounds are Student's t, one-sided, 95%, over the means of up to eight
    contiguous blocks (method of batch means: neighbouring triplets are
    correlated, block means much less so).

    Parameters
    ----------
    scores : PSNR of both models on the same triplets, dB
    min_gain_db, max_loss_db : dB PSNR
    """
    gains, losses = scores.gains_db, scores.losses_db
    if len(gains) < _FEWEST or len(losses) < _FEWEST:
        reason = f"only {len(gains)} drifted and {len(losses)} golden triplets to score on, {_FEWEST} are needed"
        return Decision(False, reason, _mean(gains), _mean(losses))
    gain, loss = _mean(gains), _mean(losses)
    surely = lower_bound(gains)
    at_worst = -lower_bound(-losses)
    figures = f"{gain:+.2f} dB on drifted footage (at least {surely:+.2f}), {-loss:+.2f} dB on golden"
    if not np.isfinite([gain, loss, surely, at_worst]).all():
        return Decision(False, "the scores are not finite: the challenger has diverged", gain, loss)
    if gain < min_gain_db:
        return Decision(False, f"{figures}: less than the gain of {min_gain_db:.2f} dB asked for", gain, loss)
    if surely <= 0.0:
        return Decision(False, f"{figures}: the gain may be an accident", gain, loss)
    if at_worst > max_loss_db:
        return Decision(
            False, f"{figures}: golden footage may lose {at_worst:.2f} dB, more than {max_loss_db:.2f}", gain, loss
        )
    return Decision(True, figures, gain, loss)


def lower_bound(differences: FloatArray) -> float:
    """Return the lower one-sided 95% confidence bound of the mean of paired differences (n,), n at least 2."""
    blocks = np.array_split(np.asarray(differences, np.float64), min(_BLOCKS, len(differences)))
    means = np.array([block.mean() for block in blocks])
    error = means.std(ddof=1) / np.sqrt(len(means))
    return float(np.mean(differences, dtype=np.float64) - stdtrit(len(means) - 1, _CONFIDENCE) * error)


def _mean(values: FloatArray) -> float:
    return float(np.mean(values, dtype=np.float64)) if len(values) else 0.0
