"""The inputs and outputs of an untrusted model, and whether it can turn frames into embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from common.backbones.backbone import INPUT_SIZE
from common.errors import BackboneError

_SMALLEST, _LARGEST = 32, 1024  # side of an input, pixels


@dataclass(frozen=True)
class TensorSignature:
    """An input or output of a model.

    Attributes
    ----------
    name : its name in the model
    shape : length of each axis, None where any length is accepted; None as a whole if the number of axes is open
    dtype : element type in NumPy's notation
    """

    name: str
    shape: tuple[int | None, ...] | None
    dtype: str


@dataclass(frozen=True)
class ModelSignature:
    """How images go into a model and the embedding comes out.

    Attributes
    ----------
    side : side of the square input, in pixels
    channels_first : whether the input is (n, 3, side, side) and not (n, side, side, 3)
    raw : whether it takes 8-bit pixels without scaling
    output : index of the output that is the embedding
    pooled : axes of that output that are averaged: positions in the image, or tokens
    """

    side: int
    channels_first: bool
    raw: bool
    output: int
    pooled: tuple[int, ...]


def find_signature(
    name: str, inputs: Sequence[TensorSignature], outputs: Sequence[TensorSignature], wanted: str
) -> ModelSignature:
    """Return how to use a model as a backbone.

    Parameters
    ----------
    name : of the model, for messages
    inputs, outputs : what the model declares
    wanted : name of the output that is the embedding; empty: its only one

    Raises
    ------
    BackboneError
        If its input is not one square RGB image, or it is not clear which output is the embedding.
    """
    if len(inputs) != 1:
        raise BackboneError(
            f"{name} takes {len(inputs)} inputs ({', '.join(tensor.name for tensor in inputs)}), "
            "a backbone takes one image: export it without the others"
        )
    channels_first, side = _image_side(name, inputs[0])
    if inputs[0].dtype not in {"uint8", "float32"}:
        raise BackboneError(f"{name} takes {inputs[0].dtype} pixels, a backbone takes float32 or uint8: export it so")
    output = _choose(name, outputs, wanted)
    shape = outputs[output].shape
    if shape is None or not 2 <= len(shape) <= 4:
        raise BackboneError(
            f"output {outputs[output].name!r} of {name} has shape {shape}, an embedding is (n, d), a feature map or "
            "(n, tokens, d): choose another output as MODEL#OUTPUT"
        )
    if len(shape) == 4:
        pooled: tuple[int, ...] = (2, 3) if channels_first else (1, 2)
    else:
        pooled = (1,) if len(shape) == 3 else ()
    return ModelSignature(side, channels_first, inputs[0].dtype == "uint8", output, pooled)


def _image_side(name: str, image: TensorSignature) -> tuple[bool, int]:
    shape = image.shape
    if shape is None or len(shape) != 4 or 3 not in {shape[1], shape[3]}:
        raise BackboneError(
            f"{name} takes an input of shape {shape}, a backbone takes RGB images, (n, side, side, 3) or "
            "(n, 3, side, side): choose another model"
        )
    channels_first = shape[1] == 3 and shape[3] != 3
    height, width = shape[2:] if channels_first else shape[1:3]
    side = height or width or INPUT_SIZE
    if (height or side) != (width or side) or not _SMALLEST <= side <= _LARGEST:
        raise BackboneError(
            f"{name} takes images of {width} x {height} pixels, a backbone takes square ones of {_SMALLEST} to "
            f"{_LARGEST}: export it with another input size"
        )
    return channels_first, side


def _choose(name: str, outputs: Sequence[TensorSignature], wanted: str) -> int:
    names = [tensor.name for tensor in outputs]
    if wanted:
        if wanted in names:
            return names.index(wanted)
        raise BackboneError(f"{name} has no output {wanted!r}: it has {', '.join(names)}")
    if len(outputs) != 1:
        raise BackboneError(
            f"{name} has {len(outputs)} outputs: choose one in SENTINEL_BACKBONE, as MODEL#{names[0] if names else ''} "
            f"(it has {', '.join(names)})"
        )
    return 0
