"""The interpolation network: for each pixel, a softmax over eight candidates. Imports TensorFlow.

The candidates for the middle frame are made from its two neighbours: the two
half-way warps of `flow`, the neighbours' average, each neighbour itself, and the
average of the warps blurred lightly and strongly, and sharpened. A small
convolutional network sees how far they differ, at half resolution, and returns
the weight of each candidate at each pixel. The output is therefore always a
convex combination of plausible frames, for any footage.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from common.features import FloatArray

CANDIDATES = 8
_CHANNELS = 16
_KERNEL = 3
_INPUT_CHANNELS = 6  # see `_features`
_DIFFERENCE_SCALE = 8.0  # absolute differences of candidates are seldom larger than an eighth
_LAYERS = ((_INPUT_CHANNELS, _CHANNELS), (_CHANNELS, _CHANNELS), (_CHANNELS, CANDIDATES))
_INITIAL_WARP_LOGIT = 4.0  # an untrained network returns approximately the average of the warps
_WARPS = 2  # the first candidates
_LIGHT, _STRONG = 3, 5  # box blurs, pixels
_HALF = 2


def weight_shapes() -> list[tuple[int, ...]]:
    """Return the shapes of the network's weights: kernel and bias of each layer in turn."""
    return [shape for i, o in _LAYERS for shape in ((_KERNEL, _KERNEL, i, o), (o,))]


def new_weights(seed: int) -> tuple[FloatArray, ...]:
    """Return initial weights, with which the network returns approximately the average of the warps.

    Kernels are drawn from He's normal distribution (He et al., 2015), those of the last layer scaled by 0.1.
    """
    numbers = np.random.Generator(np.random.PCG64(seed))
    weights: list[FloatArray] = []
    for inputs, outputs in _LAYERS:
        spread = np.sqrt(2.0 / (_KERNEL * _KERNEL * inputs))
        shape = (_KERNEL, _KERNEL, inputs, outputs)
        weights += [(numbers.standard_normal(shape) * spread).astype(np.float32), np.zeros(outputs, np.float32)]
    weights[-2] *= np.float32(0.1)  # so that the initial weights of the candidates hardly depend on the pixel
    weights[-1][:_WARPS] = _INITIAL_WARP_LOGIT
    return tuple(weights)


def interpolate(weights: Sequence[tf.Variable | tf.Tensor], neighbours: tf.Tensor, warps: tf.Tensor) -> tf.Tensor:
    """Return the middle frames (n, h, w, 3) between pairs of neighbours (n, 2, h, w, 3), warped half-way to `warps`.

    All are float32 in 0 to 1, with sides of even length; `warps` has the shape of `neighbours`.
    """
    previous, following = neighbours[:, 0], neighbours[:, 1]
    first, last = warps[:, 0], warps[:, 1]
    candidates = _candidates(previous, following, first, last)
    size = tf.shape(previous)[1:3]
    logits = tf.image.resize(_logits(weights, candidates), size, method="bilinear")
    shares = tf.nn.softmax(logits, axis=-1)
    return tf.add_n([shares[..., i : i + 1] * candidate for i, candidate in enumerate(candidates)])


def _candidates(previous: tf.Tensor, following: tf.Tensor, first: tf.Tensor, last: tf.Tensor) -> list[tf.Tensor]:
    """Return the `CANDIDATES` candidates, each (n, h, w, 3)."""
    average = (previous + following) / 2.0
    warped = (first + last) / 2.0
    light, strong = _blur(warped, _LIGHT), _blur(warped, _STRONG)
    return [first, last, average, previous, following, light, strong, 2.0 * warped - light]


def _logits(weights: Sequence[tf.Variable | tf.Tensor], candidates: Sequence[tf.Tensor]) -> tf.Tensor:
    """Return the logits of the candidates at half resolution, (n, h / 2, w / 2, CANDIDATES)."""
    x = tf.nn.avg_pool2d(_features(candidates), _HALF, _HALF, "SAME")
    for layer in range(len(_LAYERS)):
        kernel, bias = weights[2 * layer], weights[2 * layer + 1]
        x = tf.nn.conv2d(x, kernel, 1, "SAME") + bias
        if layer < len(_LAYERS) - 1:
            x = tf.nn.relu(x)
    return x


def _features(candidates: Sequence[tf.Tensor]) -> tf.Tensor:
    """Return what the network sees of each pixel, (n, h, w, _INPUT_CHANNELS): how far the candidates differ, and light.

    It sees no colours: with few triplets to learn from, it would learn what is seen instead of what goes wrong.
    """
    first, last, average, previous, following, light, strong, _ = candidates
    warped = (first + last) / 2.0
    pairs = ((first, last), (previous, following), (warped, average), (warped, light), (warped, strong))
    differences = [tf.reduce_mean(tf.abs(one - other), axis=-1, keepdims=True) for one, other in pairs]
    return tf.concat(
        [_DIFFERENCE_SCALE * tf.concat(differences, axis=-1), tf.reduce_mean(average, axis=-1, keepdims=True)], axis=-1
    )


def _blur(images: tf.Tensor, side: int) -> tf.Tensor:
    return tf.nn.avg_pool2d(images, side, 1, "SAME")
