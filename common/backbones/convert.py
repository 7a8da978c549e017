"""Converts any model to OpenVINO, in a process of its own.

    python -m common.backbones.convert MODEL PRECISION FOLDER

MODEL is a `models.Model` as JSON. TensorFlow is loaded in this process only, so
that its caller may still fork. FOLDER then holds the converted model and its
card, or the reason why the conversion failed.
"""

from __future__ import annotations

import hashlib
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.backbones.backbone import BackboneCard, Images, StoredPrecision
from common.backbones.models import Model, ModelKind
from common.backbones.openvino_engine import OpenVinoBackbone, openvino
from common.errors import BackboneError
from common.features import FloatArray

MODEL_FILE = "model.xml"
NUMBERS_FILE = "model.bin"
CARD_FILE = "card.json"
REASON_FILE = "reason.txt"

LEAST_COSINE = 0.9999  # both engines compute in f32; measured 1.0000, and wrong preprocessing gives below .99
_LEAST_INT8_COSINE = 0.9  # median; int8 usually keeps about .98, and far less on a model that it does not suit
_CHECKED_IMAGES = 4
_SILENT_SECONDS = 60.0  # a download that gives no byte for this long has failed; Keras itself would wait forever


@dataclass(frozen=True)
class _Graph:
    """A model in OpenVINO, and the original that it is checked against, where that can run here."""

    graph: Any
    side: int
    digest: str
    reference: Callable[[Images], FloatArray] | None


def main(model: str, precision: str, folder: Path) -> int:
    """Convert into `folder`; return the process's exit code."""
    socket.setdefaulttimeout(_SILENT_SECONDS)
    try:
        convert(Model.from_json(model), precision, folder)
    except BackboneError as error:
        (folder / REASON_FILE).write_text(str(error), encoding="utf-8")
        return 1
    return 0


def convert(model: Model, precision: str, folder: Path) -> None:
    """Write the model and its card to `folder`, after checking that both engines compute the same.

    Raises
    ------
    BackboneError
        If the model is unavailable, or its conversion does not compute what the original does.
    """
    # A conversion needs no GPU, and must not take the memory of one that others work on.
    os.environ.update(CUDA_VISIBLE_DEVICES="-1", KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
    made = _GRAPHS[model.kind](model)
    images = random_images(made.side)
    card = _save(made.graph, made, model, folder, "f32")
    exact = OpenVinoBackbone(folder / MODEL_FILE, card, threads=1, precision="f32").embed(images)
    if not np.isfinite(exact).all():
        raise BackboneError(
            f"{model.name} gives embeddings that are not finite: set SENTINEL_PIXELS, or choose another"
        )
    if made.reference is not None:
        least = float(cosines(made.reference(images), exact).min())
        if not least >= LEAST_COSINE:
            raise BackboneError(
                f"{model.name} does not compute the same in OpenVINO as in Keras (cosine {least:.6f}, needs "
                f"{LEAST_COSINE}): choose another SENTINEL_BACKBONE, or SENTINEL_DEVICE=gpu"
            )
    if precision == "int8":
        from common.backbones.quantise import quantise

        card = _save(quantise(made.graph, made.side), made, model, folder, "int8")
        rounded = OpenVinoBackbone(folder / MODEL_FILE, card, threads=1, precision="int8").embed(images)
        kept = float(np.median(cosines(exact, rounded)))
        if not kept >= _LEAST_INT8_COSINE:
            raise BackboneError(f"{model.name} loses too much in int8 (cosine {kept:.3f}): set SENTINEL_PRECISION=f32")
    # The card comes last: a folder without one is not a model.
    (folder / CARD_FILE).write_text(card.to_json(), encoding="utf-8")


def _from_tensorflow(model: Model) -> _Graph:
    from common.backbones.keras_models import load_function

    loaded = load_function(model)
    graph = openvino().convert_model(loaded.function.get_concrete_function())
    return _Graph(graph, loaded.side, loaded.digest, lambda images: np.asarray(loaded.function(images), np.float32))


def _from_onnx(model: Model) -> _Graph:
    from common.backbones.onnx_models import read_graph

    graph, side = read_graph(model)
    return _Graph(graph, side, model.identity, None)


_GRAPHS: dict[ModelKind, Callable[[Model], _Graph]] = {
    ModelKind.KERAS: _from_tensorflow,
    ModelKind.KERAS_FILE: _from_tensorflow,
    ModelKind.SAVED_MODEL: _from_tensorflow,
    ModelKind.ONNX: _from_onnx,
}


def _save(graph: Any, made: _Graph, model: Model, folder: Path, precision: StoredPrecision) -> BackboneCard:
    openvino().save_model(graph, folder / MODEL_FILE, compress_to_fp16=False)
    width = graph.outputs[0].get_partial_shape()
    if width.rank.is_dynamic or len(width) != 2 or width[1].is_dynamic:
        raise BackboneError(f"{model.name} gives embeddings of shape {width}, not (n, d): export it with a fixed width")
    return BackboneCard(
        name=model.name,
        weights_digest=made.digest,
        input_size=made.side,
        output_size=width[1].get_length(),
        model_digest=model_digest(folder),
        precision=precision,
    )


def model_digest(folder: Path) -> str:
    """Return the digest of the converted model's files."""
    digest = hashlib.blake2b(digest_size=16)
    for name in (MODEL_FILE, NUMBERS_FILE):
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "blake2b").digest())
    return digest.hexdigest()


def cosines(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the cosine of each row of `a` (n, d) with its row of `b` (n, d); 0 where a row is all zeros."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray(np.sum(a * b, axis=1) / np.where(lengths > 0, lengths, np.inf), np.float32)


def random_images(side: int) -> Images:
    """Return noise and flat patches, (n, side, side, 3): the engines must agree on fine and on coarse structure."""
    numbers = np.random.default_rng(0)
    noise = numbers.integers(0, 256, (_CHECKED_IMAGES, side, side, 3), dtype=np.uint8)
    patch = -(-side // 7)
    coarse = numbers.integers(0, 256, (_CHECKED_IMAGES, 7, 7, 3), dtype=np.uint8)
    return np.concatenate([noise, coarse.repeat(patch, axis=1).repeat(patch, axis=2)[:, :side, :side]])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
