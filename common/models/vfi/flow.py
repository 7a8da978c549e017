"""Motion between two frames, and each frame moved half of it, by DIS optical flow.

Kroeger, Timofte, Dai and Van Gool: Fast Optical Flow using Dense Inverse Search, ECCV 2016; OpenCV's implementation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from common.features import FloatArray, Image
from common.models.vfi.triplets import TripletArray

WarpArray = npt.NDArray[np.uint8]
"""(n, 2, height, width, 3) uint8 RGB: the previous and the next frame, each warped to the time of the middle frame."""

_REACH = 1024.0  # pixels; float16 holds no larger motion to half a pixel, and none that is larger is found


@dataclass(frozen=True, eq=False)
class Warped:
    """What is known of the motion of n triplets, without their middle frames.

    Attributes
    ----------
    plain : the half-way warps of plain DIS, with bilinear interpolation: the reference that a model must be better than
    refined : the half-way warps after one more search between the plain ones, with bicubic interpolation
    motion : (n, h, w, 2) float16, the refined motion from the previous to the next frame, x and y, pixels
    further : (n, k, h, w, 3) uint8, images of the middle that another engine draws; k is 0 if there is none
    """

    plain: WarpArray
    refined: WarpArray
    motion: npt.NDArray[np.float16]
    further: npt.NDArray[np.uint8]

    def __getitem__(self, chosen: slice | npt.NDArray[np.intp]) -> Warped:
        return Warped(self.plain[chosen], self.refined[chosen], self.motion[chosen], self.further[chosen])

    @property
    def nbytes(self) -> int:
        """Size of all arrays together, bytes."""
        return self.plain.nbytes + self.refined.nbytes + self.motion.nbytes + self.further.nbytes

    @classmethod
    def joined(cls, rows: Sequence[Warped]) -> Warped:
        """Return what is known of the triplets of all `rows`, at least one, in new arrays."""
        return cls(
            np.concatenate([row.plain for row in rows]),
            np.concatenate([row.refined for row in rows]),
            np.concatenate([row.motion for row in rows]),
            np.concatenate([row.further for row in rows]),
        )


def warp_halfway(triplets: TripletArray) -> Warped:
    """Return the half-way warps and the motion of triplets (n, 3, h, w, 3); their middle frames are not used.

    The plain motion is half the difference of the flow there and the flow back, so triplets that are mirrored in time
    have the same two plain warps in the other order. It is known at the places of the outer frames; the search between
    their warps finds what it lacks at the places of the middle frame.
    """
    count, size = len(triplets), triplets.shape[2:4]
    plain, refined = (np.empty((count, 2, *size, 3), np.uint8) for _ in range(2))
    motions = np.empty((count, *size, 2), np.float16)
    for i, (previous, _, following) in enumerate(triplets):
        motion = (_flow(previous, following) - _flow(following, previous)) / 2.0
        plain[i] = _halfway(previous, following, motion, cv2.INTER_LINEAR)
        motion = motion + _flow(*plain[i])
        refined[i] = _halfway(previous, following, motion, cv2.INTER_CUBIC)
        motions[i] = np.clip(motion, -_REACH, _REACH)
    return Warped(plain, refined, motions, np.empty((count, 0, *size, 3), np.uint8))


def _flow(first: Image, last: Image) -> FloatArray:
    """Return the optical flow (h, w, 2) from one frame to another, pixels."""
    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    one, other = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (first, last))
    # OpenCV's stubs do not know that None asks for a new array.
    return np.asarray(estimator.calc(one, other, None), np.float32)  # type: ignore[call-overload]


def _halfway(previous: Image, following: Image, motion: FloatArray, interpolation: int) -> WarpArray:
    """Return both frames (2, h, w, 3) moved half of `motion` (h, w, 2)."""
    return np.stack([_moved(previous, motion, -0.5, interpolation), _moved(following, motion, 0.5, interpolation)])


def _moved(image: Image, motion: FloatArray, share: float, interpolation: int) -> Image:
    """Return `image` sampled at each pixel's place plus a share of `motion` (h, w, 2), in pixels."""
    height, width = image.shape[:2]
    x = np.arange(width, dtype=np.float32) + share * motion[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + share * motion[..., 1]
    return np.asarray(cv2.remap(image, x, y, interpolation, borderMode=cv2.BORDER_REPLICATE), np.uint8)
