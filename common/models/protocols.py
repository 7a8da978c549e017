"""Protocols of a model that Sentinel can retrain, and of its trainer.

`common.models.retraining` uses models through these protocols. The content of an
example is known only to the model and its trainer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

Examples = npt.NDArray[np.uint8]
"""(n, ...) uint8: n examples for training or scoring, in the order of the footage."""


class Model(Protocol):
    """A model that can be retrained: it predicts the hidden part of an example, and can be saved to a folder."""

    @property
    def digest(self) -> str:
        """Digest of its weights."""

    def predict(self, examples: Examples) -> npt.NDArray[np.uint8]:
        """Return the prediction for each of n examples.

        For frame interpolation: the middle frames (n, h, w, 3) uint8 from the outer frames of (n, 3, h, w, 3) uint8.
        """

    def save(self, folder: Path) -> None:
        """Write the model to `folder`; on an error leave no partial model behind."""


ModelT = TypeVar("ModelT", bound=Model)
ModelT_co = TypeVar("ModelT_co", bound=Model, covariant=True)


@dataclass(frozen=True)
class TrainingProgress:
    """Progress of a training: steps, seconds, and the loss (minus PSNR, dB)."""

    step: int
    seconds: float
    loss: float


@dataclass(frozen=True, eq=False)
class Challenger(Generic[ModelT_co]):
    """A fine-tuned model, and the steps and seconds of its training."""

    model: ModelT_co
    steps: int
    seconds: float


class Trainer(Protocol[ModelT]):
    """How one kind of model is fine-tuned.

    It gets training examples only. `common.models.retraining` compares the result
    with the champion, on examples that the trainer never sees.
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
        """Return a challenger that was fine-tuned from `champion`, which is not modified.

        Parameters
        ----------
        champion : the model to start from
        drifted : (n, ...) uint8, examples of the footage that failed
        replay : (m, ...) uint8, golden examples, so that the model does not forget them
        seconds : time to train
        seed : equal seeds and steps give equal challengers
        progress : called every few steps

        Raises
        ------
        BadSource
            If there are too few examples to train on.
        """
