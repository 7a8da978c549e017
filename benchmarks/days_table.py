"""The table that `benchmarks.days` prints: counts with 95% bounds."""

from __future__ import annotations

from dataclasses import dataclass, field

from scipy.special import betaincinv


@dataclass
class Share:
    """A count out of a total."""

    hits: int = 0
    count: int = 0

    def add(self, hit: bool) -> None:
        self.hits += hit
        self.count += 1

    def __str__(self) -> str:
        low, high = interval(self.hits, self.count)
        return f"{self.hits}/{self.count} ({low:.1%} to {high:.1%})"


def interval(hits: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact confidence interval of a share (Clopper and Pearson, 1934).

    Examples
    --------
    >>> low, high = interval(0, 100)
    >>> low, round(high, 3)
    (0.0, 0.036)
    """
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else float(betaincinv(hits, count - hits + 1, tail))
    high = 1.0 if hits == count else float(betaincinv(hits + 1, count - hits, 1 - tail))
    return low, high


@dataclass
class Table:
    """Shares by row and column, and notes below them, as Markdown."""

    title: str
    shares: dict[str, dict[str, Share]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, row: str, column: str, hit: bool) -> None:
        self.shares.setdefault(row, {}).setdefault(column, Share()).add(hit)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def __str__(self) -> str:
        columns = list(dict.fromkeys(column for row in self.shares.values() for column in row))
        lines = [f"{self.title}; 95% intervals in brackets", "", f"| | {' | '.join(columns)} |"]
        lines.append("|---" * (len(columns) + 1) + "|")
        for name, row in self.shares.items():
            lines.append(f"| {name} | {' | '.join(str(row.get(column, '')) for column in columns)} |")
        return "\n".join([*lines, "", *(f"- {text}" for text in self.notes)])
