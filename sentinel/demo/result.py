"""How the demo went, as a table or as JSON."""

from __future__ import annotations

from pydantic import Field

from common.contracts.ids import Message
from sentinel.cli.console import Piece, columns, out


class Step(Message):
    """One line of the closing table."""

    name: str
    outcome: str
    seconds: float


class DemoResult(Message):
    """How the demo went."""

    as_told: bool
    steps: tuple[Step, ...]
    seconds: float
    folder: str | None = Field(description="footage, baseline, champion and logs; None where nothing was kept")

    def show(self) -> None:
        """Print the closing table and where to go on."""
        styles = [""] * len(self.steps)
        if not self.as_told:
            styles[-1] = "red"
        rows: list[list[Piece]] = [
            [str(number), step.name, f"{step.seconds:.1f}", (step.outcome, style)]
            for number, (step, style) in enumerate(zip(self.steps, styles, strict=True), 1)
        ]
        columns(["", "step", "s", "outcome"], rows)
        out.print(f"{self.seconds:.0f} s in all")
        if self.folder:
            out.print(f"footage, baseline, champion and logs are in {self.folder}")
        if self.as_told:
            out.print(
                "next: `sentinel baseline build YOUR_FOOTAGE --name NAME`, then `SENTINEL_BASELINE=NAME sentinel up`"
            )
