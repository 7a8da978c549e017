"""The model that Sentinel heals: video frame interpolation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field

from common.contracts.ids import Message, content_id
from common.errors import BadMessage, BadModel, OutdatedModel
from common.features import FloatArray
from common.models.vfi.design import DESIGN, Design
from common.models.vfi.flow import Warped
from common.models.vfi.tiles import MotionArray, predict_in_tiles
from common.models.vfi.triplets import TripletArray
from common.npz import read_npz
from common.whole_files import whole_folder

WEIGHTS_FILE = "weights.npz"
MODEL_FILE = "model.json"
_PIXELS = 660_000  # predicted at a time; limits memory and hardly affects speed
_FORMAT = 1


class ModelFile(Message):
    """The content of `model.json`."""

    format: int
    kind: str
    digest: str = Field(description="of the weights")


@dataclass(frozen=True, eq=False)
class Interpolator:
    """The interpolation network of `common.models.vfi.network`, with its weights as NumPy arrays.

    Attributes
    ----------
    weights : of the head, kernel and bias of each layer in turn, float32
    design : its kind, which says what the head blends
    """

    weights: tuple[FloatArray, ...]
    design: Design = DESIGN

    @property
    def digest(self) -> str:
        return content_id(*(f"{w.shape} {w.astype('<f4').tobytes().hex()}" for w in self.weights))

    @property
    def layers(self) -> dict[str, FloatArray]:
        """Weights of each convolution, kernel and bias together, by its place and shape."""
        pairs = zip(self.weights[::2], self.weights[1::2], strict=True)
        found = {}
        for number, (kernel, bias) in enumerate(pairs, start=1):
            height, width, inputs, outputs = kernel.shape
            name = f"convolution {number} ({height} x {width}, {inputs} to {outputs})"
            found[name] = np.concatenate([kernel.ravel(), bias.ravel()])
        return found

    def predict(self, triplets: TripletArray) -> npt.NDArray[np.uint8]:
        """Return the middle frames (n, h, w, 3) uint8 of triplets; the middle frames in `triplets` are not used."""
        return self.blend(triplets, self.design.engine.warp(triplets))

    def blend(self, triplets: TripletArray, warped: Warped) -> npt.NDArray[np.uint8]:
        """Return what `predict` does, from motion that is known already.

        What an engine draws that is not this model's is left aside: then motion must be that of DIS flow.
        """
        import tensorflow as tf

        from common.models.vfi.network import CONTEXT, MULTIPLE, predictor

        weights = tuple(tf.constant(w) for w in self.weights)
        further = self.design.engine.further
        predict = predictor(further)

        def part(*arrays: npt.NDArray[np.uint8] | MotionArray) -> npt.NDArray[np.uint8]:
            return np.asarray(predict(weights, *(tf.constant(array) for array in arrays)).numpy(), np.uint8)

        frames = np.empty((len(triplets), *triplets.shape[2:]), np.uint8)
        batch = max(_PIXELS // (triplets.shape[2] * triplets.shape[3]), 1)
        for start in range(0, len(triplets), batch):
            rows = slice(start, start + batch)
            known = warped[rows]
            frames[rows] = predict_in_tiles(
                part,
                triplets[rows, ::2],
                replace(known, further=known.further[:, :further]),
                multiple=MULTIPLE,
                context=CONTEXT,
            )
        return frames

    def save(self, folder: Path) -> None:
        """Write the model to `folder` completely or not at all; an existing model there is replaced.

        Raises
        ------
        BadModel
            If it cannot be written.
        """
        stored = ModelFile(format=_FORMAT, kind=self.design.name, digest=self.digest)
        try:
            with whole_folder(folder) as staging:
                np.savez(staging / WEIGHTS_FILE, **{f"w{i:02d}": w for i, w in enumerate(self.weights)})  # type: ignore[arg-type]
                (staging / MODEL_FILE).write_text(stored.model_dump_json(indent=1), encoding="utf-8")
        except OSError as error:
            raise BadModel(f"the model cannot be written to {folder}: {error.strerror or error}; free space") from error


def load_model(folder: Path, design: Design = DESIGN) -> Interpolator:
    """Return the model of a kind in `folder` after verifying its digest. Nothing in the folder is executed.

    Raises
    ------
    BadModel
        If a file is missing or damaged; the message names the folder.
    OutdatedModel
        If it is of another architecture than `design`.
    """
    try:
        stored = ModelFile.from_json((folder / MODEL_FILE).read_bytes())
        arrays = read_npz(folder / WEIGHTS_FILE)
        weights = tuple(arrays[name].astype(np.float32, copy=False) for name in sorted(arrays))
    except (OSError, ValueError, BadMessage) as error:
        raise BadModel(
            f"the model in {folder} is missing or damaged ({error}): restore it, "
            "or roll back with `sentinel champions rollback`"
        ) from error
    model = Interpolator(weights, design)
    if stored.format != _FORMAT or stored.digest != model.digest:
        raise BadModel(
            f"the model in {folder} is not what was saved there: restore it, or roll back with "
            "`sentinel champions rollback`"
        )
    if stored.kind != design.name:
        raise OutdatedModel(
            f"the model in {folder} is of another kind ({stored.kind}, not {design.name}): the next retraining fits a "
            "new first champion; or promote a version that was made since with `sentinel champions promote`"
        )
    return model
