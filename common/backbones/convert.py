"""Keras -> OpenVINO, once a model, in a process of its own.

    python -m common.backbones.convert BACKBONE WEIGHTS FOLDER

TensorFlow lives and dies with this process: whoever asked for the conversion
stays free of it, and may still fork. It leaves either a card beside the
model's files in FOLDER, or the reason why not.
"""

from __future__ import annotations

import hashlib
import os
import socket
import sys
from pathlib import Path

import numpy as np

from common.backbones.backbone import INPUT_SIZE, BackboneCard, Images
from common.backbones.names import Architecture, find_architecture
from common.backbones.openvino_engine import OpenVinoBackbone, openvino
from common.backbones.weights import Weights, parse_weights
from common.contracts import FloatArray
from common.errors import BackboneError

MODEL_FILE = "model.xml"
NUMBERS_FILE = "model.bin"
CARD_FILE = "card.json"
REASON_FILE = "reason.txt"

LEAST_COSINE = 0.9999  # both engines compute in f32; measured 1.0000, and wrong preprocessing gives below .99
_CHECKED_IMAGES = 4
_SILENT_SECONDS = 60.0  # a download that gives no byte for this long has failed; Keras itself would wait for ever


def main(backbone: str, setting: str, folder: Path) -> int:
    """Convert into `folder`; return the process's exit code."""
    socket.setdefaulttimeout(_SILENT_SECONDS)
    try:
        convert(find_architecture(backbone), parse_weights(setting), folder)
    except BackboneError as error:
        (folder / REASON_FILE).write_text(str(error), encoding="utf-8")
        return 1
    return 0


def convert(architecture: Architecture, weights: Weights, folder: Path) -> None:
    """Write the model and its card to `folder`, and check the one engine against the other.

    Raises
    ------
    BackboneError
        If the weights cannot be had, or the converted model does not agree with Keras.
    """
    # A conversion needs no GPU, and must not take the memory of one that others work on.
    os.environ.update(CUDA_VISIBLE_DEVICES="-1", KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
    from common.backbones.keras_models import as_function, build_backbone

    model, digest = build_backbone(architecture, weights)
    function = as_function(model)
    converted = openvino().convert_model(function.get_concrete_function())
    openvino().save_model(converted, folder / MODEL_FILE, compress_to_fp16=False)
    images = _random_images()
    wanted = np.asarray(function(images), np.float32)
    card = BackboneCard(
        name=architecture.name,
        weights_digest=digest,
        input_size=INPUT_SIZE,
        output_size=wanted.shape[1],
        model_digest=model_digest(folder),
    )
    _compare(wanted, OpenVinoBackbone(folder / MODEL_FILE, card, threads=1).embed(images), architecture.name)
    # The card comes last: a folder without one is not a model.
    (folder / CARD_FILE).write_text(card.to_json(), encoding="utf-8")


def model_digest(folder: Path) -> str:
    """Return the digest of the converted model's files."""
    digest = hashlib.blake2b(digest_size=16)
    for name in (MODEL_FILE, NUMBERS_FILE):
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "blake2b").digest())
    return digest.hexdigest()


def cosines(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the cosine of each row of `a` (n, d) with its row of `b` (n, d); 0 where a row is all zeros."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray(np.sum(a * b, axis=1) / np.where(lengths > 0, lengths, np.inf), np.float32)


def _random_images() -> Images:
    """Noise and smooth patches: both engines must agree on fine and on coarse structure."""
    numbers = np.random.default_rng(0)
    noise = numbers.integers(0, 256, (_CHECKED_IMAGES, INPUT_SIZE, INPUT_SIZE, 3), dtype=np.uint8)
    patch = INPUT_SIZE // 7
    coarse = numbers.integers(0, 256, (_CHECKED_IMAGES, 7, 7, 3), dtype=np.uint8)
    return np.concatenate([noise, coarse.repeat(patch, axis=1).repeat(patch, axis=2)])


def _compare(wanted: FloatArray, got: FloatArray, name: str) -> None:
    least = float(cosines(wanted.astype(np.float64), got.astype(np.float64)).min())
    if not least >= LEAST_COSINE:
        raise BackboneError(
            f"{name} does not compute the same in OpenVINO as in Keras (cosine {least:.6f}, needs {LEAST_COSINE}): "
            "choose another SENTINEL_BACKBONE, or SENTINEL_DEVICE=gpu"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
