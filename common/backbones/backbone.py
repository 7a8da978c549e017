"""The interface of a backbone: a name, the digest of its weights, and `embed`."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from common.contracts.ids import Message
from common.errors import BackboneError
from common.features import FloatArray

INPUT_SIZE = 224
"""Side of the square input image, in pixels: what most models of keras.applications were trained on."""
Precision = Literal["f32", "bf16", "int8"]
"""The arithmetic of a backbone. Features of two precisions must not be compared."""
StoredPrecision = Literal["f32", "int8"]
"""The arithmetic of a converted model on disk. One in f32 also serves bf16: the engine rounds as it computes."""

Images = npt.NDArray[np.uint8]
"""(n, side, side, 3) uint8, RGB."""


class Backbone(Protocol):
    """A loaded embedding model. Load it after a fork and use it in one thread: it is not thread-safe."""

    @property
    def name(self) -> str:
        """Canonical name, for example `mobilenet_v2`."""

    @property
    def weights_digest(self) -> str:
        """Digest of the weights' content: equal weights have an equal digest, wherever they were loaded from."""

    @property
    def precision(self) -> Precision:
        """The arithmetic that it computes in."""

    @property
    def input_size(self) -> int:
        """Side of the square images that `embed` takes, in pixels."""

    @property
    def output_size(self) -> int:
        """Number of features per frame, d."""

    @property
    def batch(self) -> int:
        """Number of frames that are best passed to one call of `embed`."""

    @property
    def offloaded(self) -> bool:
        """Whether it computes on another device, so that the processor can decode meanwhile."""

    def embed(self, images: Images) -> FloatArray:
        """Return (n, d) float32 for (n, side, side, 3) uint8 RGB images; raise `BackboneError` for other shapes."""


class BackboneCard(Message):
    """Describes a converted model without loading it; it is stored beside the model's files."""

    name: str
    weights_digest: str
    input_size: int = Field(ge=1)
    output_size: int = Field(ge=1)
    model_digest: str = Field(description="of the converted model's files, by which damage is noticed")
    precision: StoredPrecision | None = Field(None, description="of the stored graph; None: written by version 0.1")


def stored_precision(precision: Precision) -> StoredPrecision:
    """Return the arithmetic of the converted model that serves `precision`."""
    return "int8" if precision == "int8" else "f32"


def check_images(images: Images, side: int) -> None:
    """Raise `BackboneError` unless `images` are (n, side, side, 3) uint8."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (side, side, 3):
        raise BackboneError(
            f"a backbone takes uint8 images of shape (n, {side}, {side}, 3), "
            f"this is {images.dtype} of shape {images.shape}: resize frames first"
        )
