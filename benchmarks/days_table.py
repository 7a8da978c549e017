"""The table that `benchmarks.days` prints: counts with 95% bounds."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.shares import Share


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
