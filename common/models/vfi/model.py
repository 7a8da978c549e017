"""The model that Sentinel heals: video frame interpolation."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field

from common.contracts.ids import Message, content_id
from common.errors import BadMessage, BadModel
from common.features import FloatArray
from common.models.vfi.flow import WarpArray, halfway_warps
from common.models.vfi.triplets import TripletArray
from common.npz import read_npz

WEIGHTS_FILE = "weights.npz"
MODEL_FILE = "model.json"
KIND = "blend-8"
"""Identifies the architecture in `network`; weights of another kind are refused."""

_BATCH = 8  # frames predicted at a time; limits memory and hardly affects speed
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
    weights : kernel (3, 3, inputs, outputs) and bias (outputs,) of each layer in turn, float32
    """

    weights: tuple[FloatArray, ...]

    @property
    def digest(self) -> str:
        return content_id(*(f"{w.shape} {w.astype('<f4').tobytes().hex()}" for w in self.weights))

    def predict(self, triplets: TripletArray) -> npt.NDArray[np.uint8]:
        """Return the middle frames (n, h, w, 3) uint8 of triplets; the middle frames in `triplets` are not used."""
        return self.blend(triplets, halfway_warps(triplets))

    def blend(self, triplets: TripletArray, warps: WarpArray) -> npt.NDArray[np.uint8]:
        """Return what `predict` does, from half-way warps (n, 2, h, w, 3) that are known already."""
        import tensorflow as tf

        from common.models.vfi.network import interpolate

        weights = [tf.constant(w) for w in self.weights]
        frames = np.empty((len(triplets), *triplets.shape[2:]), np.uint8)
        for start in range(0, len(triplets), _BATCH):
            batch = slice(start, start + _BATCH)
            outer, moved = (pair[batch].astype(np.float32) / 255.0 for pair in (triplets[:, ::2], warps))
            middle = interpolate(weights, tf.constant(outer), tf.constant(moved)).numpy()
            frames[batch] = np.clip(np.rint(middle * 255.0), 0, 255)
        return frames

    def save(self, folder: Path) -> None:
        """Write the model to `folder` completely or not at all; an existing model there is replaced.

        Raises
        ------
        BadModel
            If it cannot be written.
        """
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            np.savez(staging / WEIGHTS_FILE, **{f"w{i:02d}": w for i, w in enumerate(self.weights)})  # type: ignore[arg-type]
            stored = ModelFile(format=_FORMAT, kind=KIND, digest=self.digest)
            (staging / MODEL_FILE).write_text(stored.model_dump_json(indent=1), encoding="utf-8")
            staging.chmod(0o755)  # mkdtemp allows only this user; other users must be able to read a champion
            shutil.rmtree(folder, ignore_errors=True)
            staging.rename(folder)
        except OSError as error:
            raise BadModel(f"the model cannot be written to {folder}: {error.strerror or error}; free space") from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def load_model(folder: Path) -> Interpolator:
    """Return the model in `folder` after verifying its digest. Nothing in the folder is executed.

    Raises
    ------
    BadModel
        If a file is missing or damaged, or the model is of another kind; the message names the folder.
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
    model = Interpolator(weights)
    if (stored.format, stored.kind) != (_FORMAT, KIND) or stored.digest != model.digest:
        raise BadModel(
            f"the model in {folder} is not what was saved there, or of another kind ({stored.kind}, not {KIND}): "
            "restore it, or roll back with `sentinel champions rollback`"
        )
    return model
