"""How often the bets of the gate err, and how many triplets they need, on differences whose mean is known.

    python -m benchmarks.gate [--runs 2000] [--seed 0]

Differences of challenger and champion are drawn, white and correlated (AR(1), by rho), and decided on as the gate
decides on one stretch: blocks of ten, the error of the first or the twentieth retraining; and, where the name says
golden, as it decides whether kept footage loses too much. Shares have exact 95% bounds.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.machine import machine
from benchmarks.results import save
from benchmarks.shares import Share
from common.models.betting import Bets, Finding, bet, spent_error
from common.models.gate import harm
from common.settings import Settings

_SETTINGS = Settings(_env_file=None)
_LEAST_DB = _SETTINGS.promote_min_gain_db  # the gain that is asked for
_MOST_LOST_DB = _SETTINGS.promote_max_loss_db  # on golden footage and on conditions
_TOTAL_ERROR = _SETTINGS.promote_error  # over all retrainings
_RHOS = (0.0, 0.5, 0.8)  # correlation of neighbours
_SPREADS = (0.1, 0.3, 1.0)  # dB


@dataclass(frozen=True)
class Case:
    """Differences of one kind, and what is asked of the bets on them.

    Attributes
    ----------
    gain_db, spread_db : mean and standard deviation of the differences
    number : the how manieth retraining it is
    triplets : that there are
    bar : largest share of promotions, or with `power` the least one
    golden : whether they are of kept footage, of which no loss is found, and not of a stretch, of which a gain is
    """

    name: str
    gain_db: float
    spread_db: float
    number: int
    triplets: int
    bar: float
    power: bool = False
    golden: bool = False

    def keeps(self, promoted: Share) -> bool:
        """Whether the bar is kept by the share that was seen."""
        share = promoted.hits / promoted.count
        return share >= self.bar if self.power else share <= self.bar


CASES = (
    *(Case("no gain", 0.0, spread, 1, 300, 0.02) for spread in _SPREADS),
    *(Case("just below the gain asked for", _LEAST_DB - 0.01, spread, 1, 300, 0.05) for spread in _SPREADS),
    Case("no gain, twentieth", 0.0, 0.3, 20, 600, 0.02),
    Case("power", 0.3, 0.3, 1, 300, 0.95, power=True),
    Case("power, twentieth", 0.3, 0.3, 20, 600, 0.90, power=True),
    *(
        Case("golden loses just too much", -_MOST_LOST_DB - 0.01, spread, 1, 100, 0.05, golden=True)
        for spread in _SPREADS
    ),
    Case("golden loses a quarter of that", -_MOST_LOST_DB / 4, 0.1, 1, 100, 0.90, power=True, golden=True),
    Case("golden loses a quarter of that", -_MOST_LOST_DB / 4, 0.2, 1, 100, 0.90, power=True, golden=True),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(f"{machine()}\n")
    print(f"least gain {_LEAST_DB} dB, largest loss {_MOST_LOST_DB} dB")
    print(f"{arguments.runs} runs a row, seed {arguments.seed}\n")
    print("| differences | mean ± spread, dB | rho | within | bar | promoted (95%) | kept | median triplets |")
    print("|---|---|---|---|---|---|---|---|")
    rows = []
    for case in CASES:
        for rho in _RHOS:
            promoted, median = measured(case, rho, arguments.runs, arguments.seed)
            bar = f"{'at least' if case.power else 'at most'} {case.bar:.0%}"
            kept = "yes" if case.keeps(promoted) else "NO"
            print(
                f"| {case.name} | {case.gain_db:g} ± {case.spread_db} | {rho} | {case.triplets} | {bar} | {promoted} "
                f"| {kept} | {median:.0f} |",
                flush=True,
            )
            rows.append({**vars(case), "rho": rho, "promoted": promoted.hits, "runs": promoted.count, "median": median})
    save("gate", {"rows": rows, "seed": arguments.seed})


def measured(case: Case, rho: float, runs: int, seed: int) -> tuple[Share, float]:
    """Return how many of `runs` were promoted, and the median number of triplets until a run was decided."""
    promoted, looked_at = Share(), []
    for bets in _decided(case, rho, runs, seed):
        promoted.add(bets.finding is Finding.ABOVE)
        looked_at.append(bets.examples)
    return promoted, float(np.median(looked_at))


def _decided(case: Case, rho: float, runs: int, seed: int) -> Iterator[Bets]:
    error = spent_error(_TOTAL_ERROR, case.number)
    for row in differences(case, rho, runs, seed):
        yield harm(row, _MOST_LOST_DB) if case.golden else bet(row, _LEAST_DB, error=error)


def differences(case: Case, rho: float, runs: int, seed: int) -> npt.NDArray[np.float32]:
    """Return differences (runs, triplets) of a case, dB, of which neighbours correlate by `rho`."""
    numbers = np.random.default_rng(seed).normal(0.0, 1.0, (runs, case.triplets))
    for i in range(1, case.triplets):
        numbers[:, i] = rho * numbers[:, i - 1] + math.sqrt(1.0 - rho**2) * numbers[:, i]
    return np.asarray(case.gain_db + case.spread_db * numbers, np.float32)


if __name__ == "__main__":
    main()
