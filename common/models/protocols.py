"""Protocols of a kind of model that Sentinel can heal: its models, their trainer, and what measures them.

`common.models` uses models through these protocols. The content of an example is
known only to the kind of model that read it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from common.contracts.batches import SourceKind
from common.contracts.model_scores import ScoreColumn
from common.features import FeatureBlock, FloatArray
from common.object_root import Root
from common.sources.limits import Limits

Examples = npt.NDArray[np.uint8]
"""(n, ...) uint8: n examples for training or scoring, in the order of the footage."""


class Predictor(Protocol):
    """Predicts the hidden part of an example."""

    def predict(self, examples: Examples) -> npt.NDArray[np.uint8]:
        """Return the prediction for each of n examples.

        For frame interpolation: the middle frames (n, h, w, 3) uint8 from the outer frames of (n, 3, h, w, 3) uint8.
        What has such a shape is drawn beside the evidence of a decision about examples of three frames.
        """


class Model(Predictor, Protocol):
    """A predictor that can be retrained, and be saved to a folder."""

    @property
    def digest(self) -> str:
        """Digest of its weights."""

    def save(self, folder: Path) -> None:
        """Write the model to `folder`; on an error leave no partial model behind."""


ModelT = TypeVar("ModelT", bound=Model)
ModelT_co = TypeVar("ModelT_co", bound=Model, covariant=True)
ModelT_contra = TypeVar("ModelT_contra", bound=Model, contravariant=True)


@dataclass(frozen=True)
class TrainingProgress:
    """Progress of a training.

    Attributes
    ----------
    step, seconds : so far
    loss : on the examples of the latest step; minus the score, dB, see `ModelKind.score`
    check_db : score on the examples that are not trained on and tell when to stop, when it was measured last, dB;
        None: there are none
    """

    step: int
    seconds: float
    loss: float
    check_db: float | None = None


@dataclass(frozen=True, eq=False)
class Challenger(Generic[ModelT_co]):
    """A fine-tuned model, and the steps and seconds of its training."""

    model: ModelT_co
    steps: int
    seconds: float


class Trainer(Protocol[ModelT]):
    """How one kind of model is fine-tuned.

    It gets training examples only. `common.models.gate` compares the result with
    the champion, on examples that the trainer never sees.
    """

    def fine_tune(
        self,
        champion: ModelT,
        drifted: Examples,
        replay: Examples,
        earlier: Sequence[Examples] = (),
        *,
        steps: int,
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
        earlier : (k, ...) uint8 of each condition that the champion is proved on, for the same reason
        steps : number of training steps; equal seeds and steps give equal challengers
        seconds : longest time to train; a challenger may have taken fewer steps
        seed : determines everything that is chosen at random
        progress : called every few steps

        Raises
        ------
        BadSource
            If there are too few examples to train on.
        TrainingFailed
            If it diverges.
        """

    def bytes_per_example(self, shape: tuple[int, ...]) -> int:
        """Return the memory that a training takes for each of its examples, beside the example (of `shape`) itself."""


@dataclass(frozen=True, eq=False)
class Footage:
    """Examples of one stretch of a stream.

    Attributes
    ----------
    examples : (n, ...) uint8, in time order
    unfit : why the stretch must not be trained on, whatever its cause; None if nothing speaks against it
    """

    examples: Examples
    unfit: str | None


@dataclass(frozen=True, eq=False)
class Split:
    """Indices of the examples to train on and of those held out; the guard between them is in neither."""

    training: npt.NDArray[np.intp]
    held_out: npt.NDArray[np.intp]


@runtime_checkable
class ModelKind(Protocol[ModelT]):
    """A kind of model: everything that Sentinel must know of it. Entry points of group `sentinel.models` offer kinds.

    Attributes
    ----------
    name : identifies the architecture, and so the weights that `load` accepts
    modality : name of the modality whose footage it is trained on
    fewest_examples : with fewer examples of a stretch or of golden footage, nothing is trained
    """

    @property
    def name(self) -> str: ...

    @property
    def modality(self) -> str: ...

    @property
    def fewest_examples(self) -> int: ...

    def first_model(self, replay: Examples, *, steps: int, seed: int) -> ModelT:
        """Return version 1, fitted to golden examples (n, ...) in at most so many steps; the gate holds others out.

        Equal seeds give equal models. Raises `BadSource` if there are too few examples.
        """

    def load(self, folder: Path) -> ModelT:
        """Return the model in `folder` after verifying its digest.

        Raises `BadModel` if it is not what was saved, `OutdatedModel` if it is, and of an architecture of before.
        """

    def trainer(self) -> Trainer[ModelT]:
        """Return the trainer of this kind."""

    def references(self) -> Mapping[str, Predictor]:
        """Return the untrained predictors, by name, that a model must be better than."""

    def score(self, predictors: Sequence[Predictor], examples: Examples) -> FloatArray:
        """Return the scores (p, n) in dB of p predictors on each of n examples; larger is better.

        Ten times the common logarithm of whatever says how right a prediction is: PSNR for frame interpolation, the
        share that is given to the truth for a classifier. All that the gate asks for is in this unit. No score may be
        infinite: what is right to the last bit, or wholly wrong, needs a bound.
        """

    def read_golden(self, path: Path, kind: SourceKind, limits: Limits) -> Examples:
        """Return examples (n, ...) uint8 spread over a golden clip; raise `BadSource` if it cannot be read."""

    def read_stretch(self, clip: FeatureBlock, *, limits: Limits, roots: Sequence[Root], most: int) -> Footage:
        """Return up to `most` examples of the footage that the features in `clip` were made from, in time order.

        Parameters
        ----------
        clip : features of consecutive frames; only their sources and times are used
        limits : what a source may measure
        roots : folders, and prefixes of object storage, in which the sources may lie
        most : largest number of examples

        Raises
        ------
        BadSource
            If a source no longer exists or cannot be read.
        """

    def why_elsewhere(self, examples: Examples, golden: Examples) -> str | None:
        """Return why footage was taken of something else than golden footage; None if nothing says so."""

    def split_golden(self, count: int) -> Split:
        """Return which of `count` golden examples are trained on, and which are held out."""

    def split_stretch(self, count: int) -> Split:
        """Return which of `count` examples of a stretch are trained on, and which later ones are held out."""


@runtime_checkable
class Layered(Protocol[ModelT_contra]):
    """What a kind of model may offer besides: the weights of its models, so that two versions can be compared."""

    def layers(self, model: ModelT_contra) -> Mapping[str, FloatArray]:
        """Return the weights of each layer, by a name that is the same for all models of the kind."""


@runtime_checkable
class Remembering(Protocol):
    """What a kind of model may offer besides: what is computed of an example once is kept while a retraining lasts."""

    def remembering(self, most_bytes: int) -> Self:
        """Return this kind with a memory of its own, of at most so many bytes; results are the same, bit for bit."""


@runtime_checkable
class ScoredLive(ModelKind[ModelT], Protocol[ModelT]):
    """What a kind of model may offer beside: scores on live footage, by which it is noticed that a model decays.

    A kind that does not offer it is healed as any other, and its decay is not looked for.

    Attributes
    ----------
    score_columns : what is scored; the first judged one is stated in verdicts
    """

    @property
    def score_columns(self) -> tuple[ScoreColumn, ...]: ...

    def read_live(self, path: Path, times: Sequence[float], limits: Limits) -> tuple[Examples, list[int]]:
        """Return examples (n, ...) of a recording, each at one of some times, and which of the times they are of.

        Equal times give equal examples. Raises `BadSource` if it cannot be read.

        Parameters
        ----------
        times : seconds since its first sample, ascending
        """

    def score_live(self, models: Sequence[ModelT], examples: Examples) -> FloatArray:
        """Return the scores (m, n, columns) of m models on n examples, live or golden; larger is better.

        Rows of all models are NaN if their example says nothing of a model, such as of frames in which nothing moves.
        """

    def shipped_model(self) -> ModelT:
        """Return a model that is never worse than none: a first champion far below it has decayed."""


@runtime_checkable
class Fetched(Protocol):
    """What a kind of model may offer besides: weights that do not ship, and that a person lets it fetch once."""

    def fetch(self, state_dir: Path, file: Path | None) -> Path:
        """Get the weights, keep them below `state_dir`, and return where.

        Parameters
        ----------
        state_dir : the state folder
        file : a copy of what would be fetched; None: it is fetched

        Raises
        ------
        BadModel
            If they are unavailable, or others than the kind was made for.
        """

    def why_not_ready(self, state_dir: Path) -> str | None:
        """Return what is missing of the weights and how to get them; None if they are there."""
