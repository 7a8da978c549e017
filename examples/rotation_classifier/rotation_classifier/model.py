"""The model: weights that can be used, saved and loaded; and how its answers are scored."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.errors import BadMessage, BadModel
from common.features import FloatArray
from common.models.protocols import Examples, Predictor
from common.npz import read_npz

_STEP = 4  # pixels; so a square is 54 pixels wide
_WHITE = 255


def squares(examples: Examples) -> npt.NDArray[np.uint8]:
    """Return (n, 54, 54, 3): every fourth pixel of the middle of the second frame of (n, 3, 216, 384, 3) triplets."""
    side = examples.shape[2]
    left = (examples.shape[3] - side) // 2
    return examples[:, 1, ::_STEP, left : left + side : _STEP]


@dataclass(frozen=True, eq=False)
class Classifier:
    """Says of a square by how many quarters it was turned.

    Attributes
    ----------
    weights : of the network, float32
    """

    weights: tuple[FloatArray, ...]

    @property
    def digest(self) -> str:
        content = hashlib.blake2b(digest_size=16)
        for row in self.weights:
            content.update(f"{row.shape}".encode() + row.astype("<f4").tobytes())
        return content.hexdigest()

    def predict(self, examples: Examples) -> npt.NDArray[np.uint8]:
        """Return (n, 4, 4, 3), a grey picture for each example: the line is the turn, the column what it is taken for.

        A white pixel is a share of 1. A perfect model has a white diagonal.
        """
        from rotation_classifier.network import shares

        return _picture(shares(self.weights, squares(examples)))

    def save(self, folder: Path) -> None:
        """Write the model to `folder`, which does not exist yet; Sentinel removes what is left of one that failed."""
        try:
            folder.mkdir(parents=True)
            arrays = {f"w{number:02d}": row for number, row in enumerate(self.weights)}
            np.savez(folder / "weights.npz", **arrays)  # type: ignore[arg-type]
            (folder / "digest").write_text(self.digest)
        except OSError as error:
            raise BadModel(f"the model cannot be written to {folder}: {error.strerror or error}") from error


class Guess:
    """The reference: it looks at nothing, and finds all four turns equally likely."""

    def predict(self, examples: Examples) -> npt.NDArray[np.uint8]:
        return _picture(np.full((len(examples), 4, 4), 0.25, np.float32))


def load_model(folder: Path) -> Classifier:
    """Return the model in `folder`; raise `BadModel` if it is not what was saved there."""
    try:
        arrays = read_npz(folder / "weights.npz")
        model = Classifier(tuple(arrays[name].astype(np.float32) for name in sorted(arrays)))
        saved = (folder / "digest").read_text()
    except (OSError, ValueError, BadMessage) as error:
        raise BadModel(
            f"the model in {folder} is missing or damaged ({error}): roll back to another version"
        ) from error
    if saved != model.digest:
        raise BadModel(f"the model in {folder} is not what was saved there: roll back to another version")
    return model


def score(predictors: Sequence[Predictor], examples: Examples) -> FloatArray:
    """Return (p, n) how likely each of p predictors finds the truth of each of n examples, in dB.

    10 log10 of the geometric mean, over the four turns, of the share that the true turn is given. All of it is 0 dB, a
    guess -6 dB; 3 dB more is twice the share. A share counts as half a step of 1/255 at least, so that one gross error
    cannot hide all else.
    """
    rows = []
    for predictor in predictors:
        shares = np.diagonal(predictor.predict(examples)[..., 0], axis1=1, axis2=2)
        rows.append((10.0 * np.log10(np.maximum(shares, 0.5) / _WHITE)).mean(axis=1))
    return np.asarray(rows, np.float32)


def _picture(shares: FloatArray) -> npt.NDArray[np.uint8]:
    return np.repeat(np.rint(_WHITE * shares).astype(np.uint8)[..., None], 3, axis=-1)
