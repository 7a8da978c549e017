"""Scores of a model on live footage: what they are held against, and what a verdict says of them."""

from __future__ import annotations

from pydantic import Field

from common.contracts.ids import Message, StreamName
from common.contracts.stored import StoredMessage

MODEL_GROUP = "model"
"""Name of the feature group that the scores of a stream's model form in a verdict."""


class ScoreColumn(Message):
    """A column of scores; larger is better."""

    name: str
    text: str = Field(description="what follows a value in a sentence, such as `dB over DIS flow`")
    least_loss: float | None = Field(
        gt=0, description="the smallest loss that matters, in the unit of the column; None: shown, and not judged"
    )


class GoldenScores(StoredMessage):
    """How a champion does on golden footage that it was not fitted to: the reference of its live scores."""

    stream: StreamName
    golden_id: str = Field(description="of the stream's golden baseline")
    by: str = Field(description="identifies the model and the weights whose live scores are held against these")
    version: int = Field(ge=1, description="of the champion, when they were made")
    behind_db: float = Field(
        ge=0, description="by how much the champion itself is below these; more than 0: they are of what was before it"
    )
    columns: tuple[ScoreColumn, ...] = Field(min_length=1)
    values: tuple[tuple[float, ...], ...] = Field(description="a row for each golden example, in time order")
    examples: int = Field(ge=0, description="golden examples that there were, to train on and held out")
    made_at: float = Field(description="seconds since the epoch")


class ModelScore(Message):
    """How the champion does in a window, beside golden footage: means of the column that decides."""

    column: str
    text: str = Field(description="what follows a value in a sentence")
    now: float
    golden: float
    examples: int = Field(ge=1, description="of the window")
    decayed: bool = Field(description="whether it does surely worse than on golden footage")

    @property
    def sentence(self) -> str:
        """Whether the model copes, with the figures."""
        copes = "the model does worse" if self.decayed else "the model copes"
        return f"{copes}: {self.now:+.2f} {self.text}, golden {self.golden:+.2f}"
