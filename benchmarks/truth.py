"""How often truth accuses a model that is as it was, and how many windows of labels it takes to find one that is not.

    python -m benchmarks.truth [--references 50] [--seed 0] [--window 100] [--reference 400] [--every 10]

Rows are drawn, not measured: a model that is right on some share of the frames, each by itself or in runs (with
probability 0.8 the outcome of a frame is that of the one before, so five frames are worth about one), and losses with a
long tail. They are judged as the process `truth` judges them. A line of the table has so many references, each with 20
clean windows after it. Windows of one reference are not independent of each other, so the bounds of alarms count
references, of which each has an alarm or none. Then the model drops (a loss rises by that share), and the windows until
the first FAIL and until it is confirmed are counted.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from benchmarks.machine import machine
from benchmarks.results import save
from benchmarks.shares import Share
from common.contracts.truth import Measure, TruthRow, TruthVerdict
from common.contracts.verdicts import Status
from common.drift.truth import TruthRule, TruthTrack, advance
from common.settings import Settings
from common.truth import rule_of

Scores = npt.NDArray[np.float64]

CLEAN_WINDOWS = 20
MOST_WINDOWS = 40
"""In which a drop is looked for."""
_KEEPS = 0.8  # with which a frame has the outcome of the one before, in runs
_DROPS = (0.1, 0.2, 0.3)
_SETTINGS = Settings(_env_file=None)


@dataclass(frozen=True)
class Model:
    """A model that rows are drawn of: `draw(generator, count, drop)` returns scores."""

    name: str
    measure: Measure
    draw: Callable[[np.random.Generator, int, float], Scores]


def right(share: float, keeps: float = 0.0) -> Callable[[np.random.Generator, int, float], Scores]:
    """Return what draws 0 and 1, of which `share` are 1 and `share - drop` after a drop."""

    def draw(generator: np.random.Generator, count: int, drop: float) -> Scores:
        fresh = generator.random(count) < share - drop
        kept = generator.random(count) < keeps
        kept[0] = False
        latest = np.maximum.accumulate(np.where(kept, 0, np.arange(count)))
        return np.asarray(fresh[latest], np.float64)

    return draw


def losses(generator: np.random.Generator, count: int, drop: float) -> Scores:
    """Return minus losses from a gamma distribution of shape 2, whose mean is larger by the share `drop`."""
    return -generator.gamma(2.0, 0.5 * (1.0 + drop), count)


MODELS = (
    *(Model(f"right on {share:.0%}", Measure.CORRECT, right(share)) for share in (0.7, 0.9, 0.97)),
    *(Model(f"right on {share:.0%}, in runs", Measure.CORRECT, right(share, _KEEPS)) for share in (0.7, 0.9)),
    Model("loss, gamma of shape 2", Measure.LOSS, losses),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--references", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--window", type=int, default=_SETTINGS.truth_window)
    parser.add_argument("--reference", type=int, default=_SETTINGS.truth_reference)
    parser.add_argument("--every", type=float, default=10.0, help="seconds from one labelled frame to the next")
    arguments = parser.parse_args()
    rule = replace(rule_of(_SETTINGS), window=arguments.window, reference=arguments.reference)
    print(f"{machine()}\n")
    print(
        f"windows of {rule.window} rows, references of {rule.reference}, a row every {arguments.every:g} s; "
        f"{arguments.references} references with {CLEAN_WINDOWS} clean windows each, seed {arguments.seed}\n"
    )
    heads = [f"drop {drop:.0%}: first FAIL, confirmed" for drop in _DROPS]
    print(f"| model | clean windows that FAIL | references with a false alarm (95%) | {' | '.join(heads)} |")
    print("|---|---|---|" + "---|" * len(heads), flush=True)
    rows = []
    for model in MODELS:
        measured = Measured(model, rule, arguments.every)
        for number in range(arguments.references):
            measured.add(np.random.default_rng([arguments.seed, number]))
        print(measured.line(), flush=True)
        rows.append(measured.to_dict())
    save("truth", {"rows": rows, "rule": vars(rule), "every": arguments.every, "seed": arguments.seed})


class Measured:
    """What was seen of one model."""

    def __init__(self, model: Model, rule: TruthRule, every: float) -> None:
        self.model, self.rule, self.every = model, rule, every
        self.fails, self.alarms = Share(), Share()
        self.first: dict[float, list[int | None]] = {drop: [] for drop in _DROPS}
        self.confirmed: dict[float, list[int | None]] = {drop: [] for drop in _DROPS}

    def add(self, generator: np.random.Generator) -> None:
        """Draw one reference with its clean windows, and after it each drop."""
        clean = self.model.draw(generator, self.rule.reference + CLEAN_WINDOWS * self.rule.window, 0.0)
        track, verdicts = self.judged(TruthTrack(model="", measure=self.model.measure), clean, 0)
        for verdict in verdicts:
            self.fails.add(verdict.status is Status.FAIL)
        self.alarms.add(any(verdict.confirmed for verdict in verdicts))
        for drop in _DROPS:
            worse = self.model.draw(generator, MOST_WINDOWS * self.rule.window, drop)
            _, found = self.judged(track, worse, len(clean))
            self.first[drop].append(_number(verdict.status is Status.FAIL for verdict in found))
            self.confirmed[drop].append(_number(verdict.confirmed for verdict in found))

    def judged(self, track: TruthTrack, scores: Scores, first: int) -> tuple[TruthTrack, Sequence[TruthVerdict]]:
        rows = [
            TruthRow(id=f"{first + n:032x}", taken_at=self.every * (first + n), score=float(score), frame="", at=0.0)
            for n, score in enumerate(scores)
        ]
        moved = advance(track, rows, self.rule, stream="drawn", healed_as="", failed_at=lambda at: False)
        return moved.track, moved.verdicts

    def line(self) -> str:
        found = " | ".join(f"{_text(self.first[drop])}, {_text(self.confirmed[drop])}" for drop in _DROPS)
        return f"| {self.model.name} | {self.fails} | {self.alarms} | {found} |"

    def to_dict(self) -> dict[str, object]:
        return {
            "model": self.model.name,
            "clean windows": [self.fails.hits, self.fails.count],
            "references with an alarm": [self.alarms.hits, self.alarms.count],
            "first FAIL": {str(drop): numbers for drop, numbers in self.first.items()},
            "confirmed": {str(drop): numbers for drop, numbers in self.confirmed.items()},
        }


def _number(hits: Iterable[bool]) -> int | None:
    """Return the number of the first hit, from 1 on; None if there is none."""
    return next((number for number, hit in enumerate(hits, 1) if hit), None)


def _text(numbers: Sequence[int | None]) -> str:
    """Return the median and the 90% quantile of the numbers of windows, and how many found nothing."""
    missed = sum(number is None for number in numbers)
    known = sorted(MOST_WINDOWS + 1 if number is None else number for number in numbers)
    median, late = (known[min(int(share * len(known)), len(known) - 1)] for share in (0.5, 0.9))
    said = [f"{number}" if number <= MOST_WINDOWS else f"over {MOST_WINDOWS}" for number in (median, late)]
    return f"{said[0]} (90%: {said[1]}" + (f"; {missed} of {len(numbers)} never)" if missed else ")")


if __name__ == "__main__":
    main()
