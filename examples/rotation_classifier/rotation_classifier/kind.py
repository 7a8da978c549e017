"""The kind of model, which the entry point `rotation` of group `sentinel.models` offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from common.errors import BadSource
from common.features import FloatArray
from common.models.protocols import Challenger, Examples, Predictor, TrainingProgress
from common.models.vfi.kind import KIND as FOOTAGE
from rotation_classifier.model import Classifier, Guess, load_model, score, squares

_MOST_FIRST_STEPS, _FIRST_SECONDS = 150, 120.0  # of the first model
_BATCH = 16  # squares in a step
_REPLAY, _AGAIN = 4, 4  # of them golden, and of earlier conditions, so that neither is forgotten
_FEWEST = 12


class RotationTrainer:
    """Trains all weights, on drifted footage mixed with golden footage and earlier conditions."""

    def fine_tune(
        self,
        champion: Classifier,
        drifted: Examples,
        replay: Examples,
        earlier: Sequence[Examples] = (),
        *,
        steps: int,
        seconds: float,
        seed: int,
        progress: Callable[[TrainingProgress], None],
    ) -> Challenger[Classifier]:
        from rotation_classifier.network import train

        parts = [(squares(replay), _REPLAY)]
        if earlier:
            parts.append((squares(np.concatenate(earlier)), _AGAIN))
        parts.append((squares(drifted), _BATCH - sum(count for _, count in parts)))
        weights, taken, time = train(
            champion.weights, parts, steps=steps, seconds=seconds, seed=seed, progress=progress
        )
        return Challenger(Classifier(weights), taken, time)

    def bytes_per_example(self, shape: tuple[int, ...]) -> int:
        """Return the bytes of a square, 1/16 of a frame's height times height."""
        return shape[1] * shape[1] * shape[3] // 16


class RotationKind:
    """A classifier without labels: it is shown a picture turned by 0 to 3 quarters, and says by how many.

    Golden footage is kept as triplets of frames, for all models of video. This one looks at the frame in the middle;
    how footage is read, judged fit and split is that of `vfi`.
    """

    name = "rotation-1"
    modality = FOOTAGE.modality
    fewest_examples = _FEWEST
    read_golden = staticmethod(FOOTAGE.read_golden)
    read_stretch = staticmethod(FOOTAGE.read_stretch)
    why_elsewhere = staticmethod(FOOTAGE.why_elsewhere)
    split_golden = staticmethod(FOOTAGE.split_golden)
    split_stretch = staticmethod(FOOTAGE.split_stretch)

    def first_model(self, replay: Examples, *, steps: int, seed: int) -> Classifier:
        """Return version 1, trained on golden examples from random weights."""
        from rotation_classifier.network import train

        if len(replay) < _FEWEST:
            raise BadSource(f"{len(replay)} golden examples are too few for a first model, {_FEWEST} are needed")
        parts = [(squares(replay), _BATCH)]
        weights, _, _ = train(
            None,
            parts,
            steps=min(steps, _MOST_FIRST_STEPS),
            seconds=_FIRST_SECONDS,
            seed=seed,
            progress=lambda now: None,
        )
        return Classifier(weights)

    def load(self, folder: Path) -> Classifier:
        return load_model(folder)

    def trainer(self) -> RotationTrainer:
        return RotationTrainer()

    def references(self) -> Mapping[str, Predictor]:
        return {"guess": Guess()}

    def score(self, predictors: Sequence[Predictor], examples: Examples) -> FloatArray:
        return score(predictors, examples)

    def layers(self, model: Classifier) -> Mapping[str, FloatArray]:
        """Return the arrays of weights by their places and shapes, for `sentinel champions diff`."""
        return {f"weights {place} {row.shape}": row for place, row in enumerate(model.weights)}


KIND = RotationKind()
