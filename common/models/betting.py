"""Betting on paired differences: a test of a mean that may be looked at after every block, and stopped at any.

A bettor stakes part of a fortune on each block of differences, before seeing it, against the claim that their mean is
at most a given value. While the claim holds the fortune is a supermartingale: with probability at most `error` it ever
multiplies by 1 / error, however often one looks (Ville's inequality). A mirrored bettor stakes against the claim that
the mean is at least that value, so that a hopeless case ends early.

Differences are clipped, which bounds what a block can win; rare disasters need a rule of their own. Neighbouring
examples are correlated, blocks of ten of them hardly. The stakes follow the blocks seen so far (the approximate GRAPA
rule of Waudby-Smith and Ramdas: Estimating means of bounded random variables by betting, JRSS B 2024).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from common.features import FloatArray
from common.models.bounds import mean

BLOCK = 10
"""Examples in a block."""
CLIP_DB = 0.5
"""Differences count up to so far from the value that the mean is held against, dB."""
EARLY_ERROR = 0.05
"""Probability of giving up a case that is not hopeless."""
_MOST_STAKED = 0.97  # of the fortune: a block cannot lose all of it
_PRIOR_VARIANCE = 0.25  # of a block's mean, in units of `CLIP_DB`, as of one block seen: first stakes are small
_MOST_EXAMPLES_FACTOR = 2.0
_SPENDING = 0.61  # 6 / pi^2, rounded up: the sum of `_SPENDING / k^2` over all k is 1


class Finding(StrEnum):
    """What the bets say of a mean."""

    ABOVE = "above"
    BELOW = "below"
    OPEN = "open"
    """Neither is sure: there are too few differences, or it is too close."""


@dataclass(frozen=True)
class Bets:
    """The fortunes after each block, from 1 at the start.

    Attributes
    ----------
    finding : which bettor first reached what it needed
    examples : differences that were looked at until then, or all that filled a block
    mean_db : mean of all differences, not clipped, dB
    least_db : what the mean was held against, dB
    for_it : fortune of the bettor who says that the mean is above, after each block that was looked at
    against_it : that of the one who says that it is below
    needed : the fortune that was needed to say `ABOVE`
    block : examples in a block
    """

    finding: Finding
    examples: int
    mean_db: float
    least_db: float
    for_it: tuple[float, ...]
    against_it: tuple[float, ...]
    needed: float
    block: int

    @property
    def text(self) -> str:
        """The figures, like `+0.31 dB on 140 examples, 42 to 1 for more than +0.05`."""
        odds = max(self.for_it, default=1.0)
        return f"{self.mean_db:+.2f} dB on {self.examples} examples, {odds:.3g} to 1 for more than {self.least_db:+.2f}"


def spent_error(total: float, number: int) -> float:
    """Return the error that the `number`-th of any number of decisions may spend, so that all together spend `total`.

    Examples
    --------
    >>> spent_error(0.05, 1), round(spent_error(0.05, 20), 6)
    (0.0305, 7.6e-05)
    """
    if number < 1:
        raise ValueError(f"decisions are counted from 1, not from {number}")
    return total * _SPENDING / number**2


def examples_factor(total: float, number: int) -> float:
    """Return how many times the examples of the first decision the `number`-th needs, up to twice as many.

    The fortune that is needed grows with the number, and a fortune grows by a factor per block.

    Examples
    --------
    >>> examples_factor(0.05, 1), round(examples_factor(0.05, 2), 2), examples_factor(0.05, 20)
    (1.0, 1.4, 2.0)
    """
    factor = math.log(spent_error(total, number)) / math.log(spent_error(total, 1))
    return min(factor, _MOST_EXAMPLES_FACTOR)


def bet(
    differences: FloatArray,
    least_db: float,
    *,
    error: float,
    early_error: float = EARLY_ERROR,
    block: int = BLOCK,
    clip_db: float = CLIP_DB,
) -> Bets:
    """Return whether the mean of paired differences is above `least_db`.

    Parameters
    ----------
    differences : (n,) dB, block by block, those of a block in time order; what fills no block is left out
    least_db : what the mean is held against, dB
    error : probability of saying `ABOVE` of a mean that is not
    early_error : probability of saying `BELOW` of a mean that is not
    block : differences in a block
    clip_db : differences count up to so far from `least_db`, dB
    """
    blocks = _block_means(differences, least_db, block, clip_db)
    winner, loser = _fortunes(blocks), _fortunes(-blocks)
    above, below = _first(winner, 1 / error), _first(loser, 1 / early_error)
    finding = Finding.OPEN if above == below else Finding.ABOVE if above < below else Finding.BELOW
    seen = int(min(above + 1, below + 1, len(blocks)))
    return Bets(
        finding,
        examples=seen * block,
        mean_db=mean(differences),
        least_db=least_db,
        for_it=tuple(winner[:seen].tolist()),
        against_it=tuple(loser[:seen].tolist()),
        needed=1 / error,
        block=block,
    )


def _block_means(differences: FloatArray, least_db: float, block: int, clip_db: float) -> npt.NDArray[np.float64]:
    """Return (b,) the mean of each block of clipped differences from `least_db`, in units of `clip_db`."""
    whole = len(differences) // block * block
    beyond = np.clip(np.asarray(differences[:whole], np.float64) - least_db, -clip_db, clip_db) / clip_db
    return np.asarray(beyond.reshape(-1, block).mean(axis=1), np.float64)


def _fortunes(blocks: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return (b,) the fortune after each block, of which no stake has seen its own block."""
    fortunes = np.empty(len(blocks))
    fortune, total, square = 1.0, 0.0, _PRIOR_VARIANCE
    for number, block in enumerate(blocks):
        fortune *= 1.0 + min(max(total / square, 0.0), _MOST_STAKED) * block
        fortunes[number] = fortune
        total, square = total + block, square + block * block
    return fortunes


def _first(fortunes: npt.NDArray[np.float64], needed: float) -> float:
    """Return the number of the first block after which a fortune is reached; infinity if it is not."""
    reached = np.flatnonzero(fortunes >= needed)
    return int(reached[0]) if len(reached) else math.inf
