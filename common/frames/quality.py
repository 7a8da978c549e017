"""Camera-quality sensors: a few numbers a frame, at native resolution, that faults move more than content does.

A classifier that looks at 224 pixels is nearly blind to noise, blur and
compression. These are not: they read the picture before it is scaled down.
Each sensor names its floor, the change in its own unit below which nobody
would call the camera faulty, however steady the golden footage was.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from common.contracts import FloatArray, Image

_Plane = npt.NDArray[np.float32]

_TILE = 16  # pixels; a tile is flat if nothing in it is seen
_FLAT_STD = 1.5  # grey levels; below this a tile shows no structure but quantisation
_DARK, _BRIGHT = 8, 247  # grey levels: crushed and blown out
_LAYOUT = 3  # the picture is split into 3 x 3 fields for where its light is
# Median of |x| of a normal variable, in sigmas, and the gain of the high-pass mask below on white noise (Immerkaer,
# "Fast noise variance estimation", 1996).
_MEDIAN_OF_NORMAL = 0.6745
_MASK_GAIN = 6.0
_NOISE_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_EPSILON = 1e-3


@dataclass(frozen=True)
class Sensor:
    """One number a frame: its name and the smallest change in it that matters."""

    name: str
    floor: float


SENSORS: tuple[Sensor, ...] = (
    Sensor("luma", 0.04),  # mean, of 1: a tenth of a stop on a mid grey
    Sensor("black_level", 0.03),  # first percentile, of 1
    Sensor("white_level", 0.05),  # 99th percentile, of 1
    Sensor("clipped_dark", 0.03),  # share of pixels
    Sensor("clipped_bright", 0.03),  # share of pixels
    Sensor("noise", 0.25),  # natural log of sigma in grey levels: a quarter more noise
    Sensor("sharpness", 0.25),  # natural log of the Laplacian's standard deviation
    Sensor("fine_detail", 0.08),  # natural log of the ratio of Laplacians at full and half scale
    Sensor("blockiness", 0.08),  # natural log of the ratio of steps across and inside 8 x 8 blocks
    Sensor("saturation", 0.02),  # mean of (max - min) of the channels, of 1
    Sensor("red_balance", 0.02),  # mean red minus mean green, of 1
    Sensor("blue_balance", 0.02),
    Sensor("flat_area", 0.06),  # share of tiles without structure
    *(Sensor(f"light_{row}{column}", 0.08) for row in range(_LAYOUT) for column in range(_LAYOUT)),
)
SENSOR_NAMES: tuple[str, ...] = tuple(sensor.name for sensor in SENSORS)
SENSOR_FLOORS: tuple[float, ...] = tuple(sensor.floor for sensor in SENSORS)
SENSORS_VERSION = "v1:" + ",".join(SENSOR_NAMES)
"""Part of a baseline's identity: raise the number when a sensor's arithmetic changes."""


def measure(image: Image) -> FloatArray:
    """Return the sensors' readings of one frame.

    Parameters
    ----------
    image : (height, width, 3) uint8 RGB, at native resolution

    Returns
    -------
    (q,) float32, in the order of `SENSOR_NAMES`; always finite
    """
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    plane = grey.astype(np.float32)
    return np.array(
        [*_exposure(grey), *_detail(plane), _blockiness(plane), *_colour(image), _flat_area(plane), *_layout(plane)],
        np.float32,
    )


def _exposure(grey: npt.NDArray[np.uint8]) -> tuple[float, float, float, float, float]:
    histogram = cv2.calcHist([grey], [0], None, [256], [0, 256]).ravel() / grey.size
    cumulative = np.cumsum(histogram)
    mean = float(histogram @ np.arange(256)) / 255
    black = int(np.searchsorted(cumulative, 0.01)) / 255
    white = min(int(np.searchsorted(cumulative, 0.99)), 255) / 255
    return mean, black, white, float(histogram[: _DARK + 1].sum()), float(histogram[_BRIGHT:].sum())


def _detail(plane: _Plane) -> tuple[float, float, float]:
    """Noise, sharpness, and the share of detail that only the finest scale has."""
    residual = np.abs(cv2.filter2D(plane, cv2.CV_32F, _NOISE_MASK))
    sigma = float(np.median(residual[1:-1, 1:-1])) / (_MEDIAN_OF_NORMAL * _MASK_GAIN)
    full = float(cv2.Laplacian(plane, cv2.CV_32F).std())
    half_plane = cv2.resize(plane, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    half = float(cv2.Laplacian(half_plane, cv2.CV_32F).std())
    # Half a grey level is added everywhere: below it, readings are rounding.
    return np.log(sigma + 0.5), np.log(full + 0.5), np.log((full + 0.5) / (half + 0.5))


def _blockiness(plane: _Plane) -> float:
    """Steps across the borders of 8 x 8 blocks against steps elsewhere, both directions."""
    across, inside = 0.0, 0.0
    for axis in (0, 1):
        steps = np.abs(np.diff(plane, axis=axis))
        profile = steps.mean(axis=1 - axis)
        border = np.arange(len(profile)) % 8 == 7
        across += float(profile[border].mean()) if border.any() else 0.0
        inside += float(profile[~border].mean())
    return float(np.log((across + _EPSILON * 100) / (inside + _EPSILON * 100)))


def _colour(image: Image) -> tuple[float, float, float]:
    # Every second pixel each way is plenty for means, and a quarter of the work.
    some = image[::2, ::2]
    spread = some.max(axis=2).astype(np.float32) - some.min(axis=2)
    red, green, blue = (float(channel) for channel in some.reshape(-1, 3).mean(axis=0))
    return float(spread.mean()) / 255, (red - green) / 255, (blue - green) / 255


def _flat_area(plane: _Plane) -> float:
    size = (max(1, plane.shape[1] // _TILE), max(1, plane.shape[0] // _TILE))
    mean = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    square = cv2.resize(plane * plane, size, interpolation=cv2.INTER_AREA)
    return float((square - mean * mean < _FLAT_STD**2).mean())


def _layout(plane: _Plane) -> list[float]:
    """Where the light is: each field's mean against the whole picture's, as a difference of 1."""
    fields = cv2.resize(plane, (_LAYOUT, _LAYOUT), interpolation=cv2.INTER_AREA)
    return [float(value) for value in ((fields - fields.mean()) / 255).ravel()]
