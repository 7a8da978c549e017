"""Whole numbers of 8 bits: post-training quantisation by NNCF, the same on every machine.

The ranges of a model's activations are taken from made-up pictures with the
statistics of natural ones (power falls with frequency, channels go together,
things have edges), so that no footage decides about a model.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from common.backbones.backbone import Images
from common.errors import BackboneError

_PICTURES = 200
_MOST_THINGS = 12  # flat shapes in a picture
_COLOURS = np.array([[1.0, 0.8, 0.7], [0.0, 0.35, 0.35], [0.0, 0.0, 0.3]])  # how red, green and blue go together


def quantise(graph: Any, side: int) -> Any:
    """Return an OpenVINO graph of uint8 images in 8-bit arithmetic.

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
    """Return made-up pictures, (count, side, side, 3) uint8."""
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
    for _ in range(rng.integers(_MOST_THINGS)):
        top, left = rng.integers(0, side - side // 8, 2)
        high, wide = rng.integers(side // 28, side // 2, 2)
        thing = picture[top : top + high, left : left + wide]
        thing[:] = thing * rng.uniform(0, 0.7) + rng.uniform(0, 255, 3) * rng.uniform(0.3, 1)
    return np.asarray(np.clip(picture, 0, 255), np.uint8)
