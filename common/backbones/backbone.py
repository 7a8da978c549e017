"""What a backbone is to the rest of Sentinel: a name, the digest of its weights, and `embed`."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from common.contracts.ids import Message
from common.errors import BackboneError
from common.features import FloatArray

INPUT_SIZE = 224
"""Side of the square image that a backbone sees, pixels: what the keras.applications were trained on."""
Precision = Literal["f32", "bf16", "int8"]
"""What a backbone computes in. Features of two precisions must not be compared."""

Images = npt.NDArray[np.uint8]
"""(n, side, side, 3) uint8, RGB."""


class Backbone(Protocol):
    """A loaded embedding model. Load it after a fork, one a process; it is not thread-safe."""

    @property
    def name(self) -> str:
        """Canonical name, as `mobilenet_v2`."""

    @property
    def weights_digest(self) -> str:
        """Digest of the weights' content: equal weights, however they came here, have an equal digest."""

    @property
    def precision(self) -> Precision:
        """What it computes in."""

    @property
    def input_size(self) -> int:
        """Side of the square images that `embed` takes, pixels."""

    @property
    def output_size(self) -> int:
        """Number of features a frame, d."""

    @property
    def batch(self) -> int:
        """Frames that are best embedded at a time."""

    @property
    def offloaded(self) -> bool:
        """Whether it computes on another device than the processor, which can decode meanwhile."""

    def embed(self, images: Images) -> FloatArray:
        """Return (n, d) float32 for (n, side, side, 3) uint8 RGB images; raise `BackboneError` for other shapes."""


class BackboneCard(Message):
    """What is known of a backbone without loading it; stands beside its cached model."""

    name: str
    weights_digest: str
    input_size: int = Field(ge=1)
    output_size: int = Field(ge=1)
    model_digest: str = Field(description="of the cached model's files: a damaged cache is noticed")


def check_images(images: Images, side: int) -> None:
    """Raise `BackboneError` unless `images` are (n, side, side, 3) uint8."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (side, side, 3):
        raise BackboneError(
            f"a backbone takes uint8 images of shape (n, {side}, {side}, 3), "
            f"this is {images.dtype} of shape {images.shape}: resize frames first"
        )
