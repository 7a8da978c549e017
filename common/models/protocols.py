"""What a model has to be for Sentinel to retrain it, and what its trainer has to do.

A retraining (`common.models.retraining`) knows models by these protocols. How
examples look inside is the business of the model and its trainer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

Examples = npt.NDArray[np.uint8]
"""(n, ...) uint8: n examples to learn from and to be scored on, in the order of the footage."""


class Model(Protocol):
    """What can be retrained: it predicts the hidden part of an example, and is kept in a folder."""

    def predict(self, examples: Examples) -> npt.NDArray[np.uint8]:
        """Return the prediction for each of n examples.

        For frame interpolation: the middle frames (n, h, w, 3) uint8 from the outer frames of (n, 3, h, w, 3) uint8.
        """

    def save(self, folder: Path) -> None:
        """Write the model to `folder`, whole or not at all."""


ModelT = TypeVar("ModelT", bound=Model)
ModelT_co = TypeVar("ModelT_co", bound=Model, covariant=True)


@dataclass(frozen=True)
class TrainingProgress:
    """Where a training stands: steps taken, seconds spent, and the loss (minus PSNR, dB)."""

    step: int
    seconds: float
    loss: float


@dataclass(frozen=True, eq=False)
class Challenger(Generic[ModelT_co]):
    """A fine-tuned model, and what it took."""

    model: ModelT_co
    steps: int
    seconds: float


class Trainer(Protocol[ModelT]):
    """How one kind of model is fine-tuned.

    It is given training examples only. The comparison with the champion is made
    outside, on examples that the trainer never sees.
    """

    def fine_tune(
        self,
        champion: ModelT,
        drifted: Examples,
        replay: Examples,
        *,
        seconds: float,
        seed: int,
        progress: Callable[[TrainingProgress], None],
    ) -> Challenger[ModelT]:
        """Return a challenger that grew out of `champion`, which stays as it is.

        Parameters
        ----------
        champion : where the challenger starts from
        drifted : (n, ...) uint8, examples to get better on
        replay : (m, ...) uint8, golden examples not to get worse on
        seconds : how long to train
        seed : equal seeds and steps give equal challengers
        progress : called every few steps

        Raises
        ------
        BadSource
            If there are too few examples to train on.
        """
