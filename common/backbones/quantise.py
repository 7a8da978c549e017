"""Post-training quantisation to int8 by NNCF, with the same result on every machine.

The ranges of a model's activations are measured on synthetic pictures with the
statistics of natural ones (power falls with frequency, channels are correlated,
objects have edges), so that the model does not depend on any footage.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from common.backbones.backbone import Images
from common.errors import BackboneError

_PICTURES = 200
_MAX_SHAPES = 12  # flat shapes per picture
_COLOURS = np.array([[1.0, 0.8, 0.7], [0.0, 0.35, 0.35], [0.0, 0.0, 0.3]])  # how red, green and blue are correlated


def quantise(graph: Any, side: int) -> Any:
    """Return an OpenVINO graph over uint8 images in 8-bit arithmetic.

    Parameters
    ----------
    graph : the OpenVINO graph in f32
    side : side of its images, in pixels

    Raises
    ------
    BackboneError
        If NNCF is not installed.
    """
    try:
        import nncf
    except ImportError as error:
        raise BackboneError(
            "int8 needs NNCF to quantise a model: pip install 'sentinel-drift[int8]', or set SENTINEL_PRECISION"
        ) from error
    logging.getLogger("nncf").setLevel(logging.ERROR)
    graph.reshape([1, side, side, 3])
    pictures = natural_pictures(_PICTURES, side)
    data = nncf.Dataset([picture[np.newaxis] for picture in pictures])
    return nncf.quantize(graph, data, subset_size=_PICTURES, preset=nncf.QuantizationPreset.MIXED)


def natural_pictures(count: int, side: int) -> Images:
    """Return synthetic pictures, (count, side, side, 3) uint8, RGB."""
    rng = np.random.default_rng(0)
    return np.stack([_picture(rng, side) for _ in range(count)])


def _picture(rng: np.random.Generator, side: int) -> Images:
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])
    frequency[0, 0] = 1.0
    slope = rng.uniform(0.8, 1.6)
    fields = [np.fft.ifft2(np.fft.fft2(rng.normal(size=(side, side))) / frequency**slope).real for _ in range(3)]
    colours = _COLOURS * np.array([[1.0], [rng.uniform(0.3, 1.2)], [rng.uniform(0.3, 1.2)]])
    picture = np.stack([(field - field.mean()) / field.std() for field in fields], axis=-1) @ colours
    picture = rng.uniform(60, 190) + picture * rng.uniform(20, 60)
    for _ in range(rng.integers(_MAX_SHAPES)):
        top, left = rng.integers(0, side - side // 8, 2)
        high, wide = rng.integers(side // 28, side // 2, 2)
        shape = picture[top : top + high, left : left + wide]
        shape[:] = shape * rng.uniform(0, 0.7) + rng.uniform(0, 255, 3) * rng.uniform(0.3, 1)
    return np.asarray(np.clip(picture, 0, 255), np.uint8)
