"""Scores of champion, challenger and references, side by side on the same held-out examples."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from common.features import FloatArray
from common.models.betting import BLOCK
from common.models.protocols import Examples, ModelKind, ModelT, Predictor

FIRST_LOOK = 12 * BLOCK
"""Examples of a stretch that are scored before the bets are looked at: as many as prove a model."""
_TIMED = 4  # examples on which both models are timed
_ROUNDS, _MOST_ROUNDS = 5, 40  # of which the fastest counts: whatever else the machine does only makes them slower

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores, in dB, on the same held-out examples of one piece of footage, in the same order.

    Attributes
    ----------
    champion, challenger : (n,) float32
    references : (n,) float32 of each predictor that never learned anything, by name
    digests : of the examples, see `digests_of`
    order : (n,) which of the held-out examples they are
    """

    champion: FloatArray
    challenger: FloatArray
    references: Mapping[str, FloatArray]
    digests: frozenset[str]
    order: Indices

    @property
    def gains_db(self) -> FloatArray:
        """(n,) challenger's score minus champion's for each example, in dB."""
        return self.challenger - self.champion

    @property
    def finite(self) -> bool:
        """Whether every score is a number."""
        return all(np.isfinite(row).all() for row in (self.champion, self.challenger, *self.references.values()))

    @property
    def strongest(self) -> str:
        """The name of the reference that is best in the mean."""
        return max(self.references, key=lambda name: float(np.mean(self.references[name], dtype=np.float64)))


@dataclass(frozen=True)
class Latency:
    """Milliseconds per example, of both models on the same examples."""

    champion_ms: float
    challenger_ms: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """Everything that the gate decides on.

    Attributes
    ----------
    stretches : scores on the held-out part of each drifted stretch, by name
    golden : scores on the held-out golden examples
    live : scores on the examples of each live condition of the model, by the condition's name
    lost : why other live conditions cannot be scored, by name
    incidents : the incident that each stretch belongs to, by the stretch's name
    lost_db : what earlier promotions have lost on golden footage, dB
    live_lost_db : the same on each live condition, by its name
    decayed : whether the champion decayed, on footage that is as golden footage
    trained_on : digests of all examples that the challenger was trained on
    """

    stretches: Mapping[str, Scores]
    golden: Scores
    trained_on: frozenset[str]
    latency: Latency
    live: Mapping[str, Scores] = field(default_factory=dict)
    lost: Mapping[str, str] = field(default_factory=dict)
    incidents: Mapping[str, str] = field(default_factory=dict)
    lost_db: float = 0.0
    live_lost_db: Mapping[str, float] = field(default_factory=dict)
    decayed: bool = False


def compare(
    kind: ModelKind[ModelT],
    champion: ModelT,
    challenger: ModelT,
    stretches: Mapping[str, Examples],
    golden: Examples,
    *,
    trained_on: frozenset[str],
    live: Mapping[str, Examples],
    lost: Mapping[str, str],
    is_open: Callable[[Scores], bool],
    max_slowdown: float,
) -> Comparison:
    """Score both models and the references of their kind on the same held-out examples.

    A stretch is scored look by look, each spread over all of it, while its bets are open.

    Parameters
    ----------
    stretches : (n, ...) held-out examples of each drifted stretch, by name
    golden : (m, ...) held-out golden examples
    live : (c, ...) examples of each live condition, by name
    trained_on, lost : see `Comparison`
    is_open : returns whether the scores of a stretch so far leave open whether there is a gain
    max_slowdown : see `time_side_by_side`
    """
    references = kind.references()

    def scores(examples: Examples, order: Indices) -> Scores:
        chosen = examples[order]
        rows = kind.score([champion, challenger, *references.values()], chosen)
        return Scores(rows[0], rows[1], dict(zip(references, rows[2:], strict=True)), digests_of(chosen), order)

    def look_by_look(examples: Examples) -> Scores:
        first, *later = looks(len(examples))
        found = scores(examples, first)
        for order in later:
            if not is_open(found):
                break
            found = _joined(found, scores(examples, order))
        return found

    def all_of(examples: Examples) -> Scores:
        return scores(examples, np.arange(len(examples)))

    some = next(iter(stretches.values()), golden)[:_TIMED]
    return Comparison(
        stretches={name: look_by_look(examples) for name, examples in stretches.items()},
        golden=all_of(golden),
        trained_on=trained_on,
        latency=time_side_by_side(champion, challenger, some, max_slowdown),
        live={name: all_of(examples) for name, examples in live.items()},
        lost=lost,
    )


def looks(count: int) -> list[Indices]:
    """Return which of `count` held-out examples, in time order, each look takes: whole blocks, spread over all of them.

    The blocks are those of the bets, so that neighbours, which are alike, are in one block; which block comes next
    does not depend on what the ones before have shown. Examples that fill no block are left out, unless there is none.

    Examples
    --------
    >>> [look[::40].tolist() for look in looks(240)]
    [[0, 80, 160], [10, 90, 170]]
    """
    if count < BLOCK:
        return [np.arange(count)]
    blocks = np.arange(count // BLOCK * BLOCK).reshape(-1, BLOCK)
    each = max(len(blocks) * BLOCK // FIRST_LOOK, 1)
    return [blocks[first::each].ravel() for first in range(each)]


def spread_blocks(count: int, most: int) -> Indices:
    """Return which of `count` examples, in time order, are in `most` of them: whole blocks, evenly spread.

    Examples
    --------
    >>> spread_blocks(60, 30)[::10].tolist()
    [0, 20, 50]
    """
    if count <= most:
        return np.arange(count)
    blocks = np.arange(count // BLOCK * BLOCK).reshape(-1, BLOCK)
    chosen: Indices = np.linspace(0, len(blocks) - 1, most // BLOCK).astype(int)
    return np.asarray(blocks[chosen].ravel(), np.intp)


def digests_of(examples: Examples) -> frozenset[str]:
    """Return a digest of the content of each of n examples (n, ...)."""
    return frozenset(hashlib.blake2b(row.tobytes(), digest_size=16).hexdigest() for row in examples)


def time_side_by_side(
    champion: Predictor,
    challenger: Predictor,
    examples: Examples,
    max_slowdown: float,
    clock: Callable[[], float] = time.perf_counter,
) -> Latency:
    """Return how long both models take per example, by turns, the fastest of some rounds each.

    While the challenger seems too slow there are further rounds, because a busy machine may have held it up.

    Parameters
    ----------
    examples : (n, ...) on which both are timed
    max_slowdown : longest time of the challenger, in times of the champion's
    clock : returns seconds
    """
    fastest = [math.inf, math.inf]
    for number in range(_MOST_ROUNDS + 1):
        for place, predictor in enumerate((champion, challenger)):
            started = clock()
            predictor.predict(examples)
            if number:  # the first call compiles, and is not counted
                fastest[place] = min(fastest[place], clock() - started)
        if number >= _ROUNDS and fastest[1] <= max_slowdown * fastest[0]:
            break
    one, other = (seconds * 1000.0 / max(len(examples), 1) for seconds in fastest)
    return Latency(one, other)


def _joined(one: Scores, other: Scores) -> Scores:
    return Scores(
        np.concatenate([one.champion, other.champion]),
        np.concatenate([one.challenger, other.challenger]),
        {name: np.concatenate([row, other.references[name]]) for name, row in one.references.items()},
        one.digests | other.digests,
        np.concatenate([one.order, other.order]),
    )
