"""The interpolation network: a softmax over candidates for each pixel. Imports TensorFlow.

The hidden middle frame is blended from six candidates that the two neighbours
give: their average, each neighbour itself, the average blurred lightly and
strongly, and the average sharpened. A small convolutional network looks at the
neighbours at half resolution and says, for each pixel, how much of each to take.
Every answer is thus a mixture of sane frames, whatever the footage.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from common.features import FloatArray

CANDIDATES = 6
_CHANNELS = 16
_KERNEL = 3
_LOOKS = 7  # channels that the network sees: both neighbours (3 + 3) and how far they differ (1)
_LAYERS = ((_LOOKS, _CHANNELS), (_CHANNELS, _CHANNELS), (_CHANNELS, CANDIDATES))
_AVERAGE_FIRST = 2.0  # logit of the average before any training: it starts as the plain average, more or less
_LIGHT, _STRONG = 3, 5  # box blurs, pixels
_HALF = 2


def weight_shapes() -> list[tuple[int, ...]]:
    """Return the shapes of the network's weights: a kernel and a bias for each layer."""
    return [shape for i, o in _LAYERS for shape in ((_KERNEL, _KERNEL, i, o), (o,))]


def new_weights(seed: int) -> tuple[FloatArray, ...]:
    """Return seeded weights of a network that gives about the average of the neighbours."""
    numbers = np.random.Generator(np.random.PCG64(seed))
    weights: list[FloatArray] = []
    for inputs, outputs in _LAYERS:
        spread = np.sqrt(2.0 / (_KERNEL * _KERNEL * inputs))
        shape = (_KERNEL, _KERNEL, inputs, outputs)
        weights += [(numbers.standard_normal(shape) * spread).astype(np.float32), np.zeros(outputs, np.float32)]
    weights[-2] *= np.float32(0.1)  # no firm opinion yet on which pixel needs which candidate
    weights[-1][0] = _AVERAGE_FIRST
    return tuple(weights)


def interpolate(weights: Sequence[tf.Variable | tf.Tensor], previous: tf.Tensor, following: tf.Tensor) -> tf.Tensor:
    """Return the middle frames (n, h, w, 3) of their neighbours (n, h, w, 3); float32 in 0..1, sides even."""
    candidates = _candidates(previous, following)
    size = tf.shape(previous)[1:3]
    logits = tf.image.resize(_look(weights, previous, following), size, method="bilinear")
    shares = tf.nn.softmax(logits, axis=-1)
    return tf.add_n([shares[..., i : i + 1] * candidate for i, candidate in enumerate(candidates)])


def _candidates(previous: tf.Tensor, following: tf.Tensor) -> list[tf.Tensor]:
    average = (previous + following) / 2.0
    light, strong = _blur(average, _LIGHT), _blur(average, _STRONG)
    return [average, previous, following, light, strong, 2.0 * average - light]


def _look(weights: Sequence[tf.Variable | tf.Tensor], previous: tf.Tensor, following: tf.Tensor) -> tf.Tensor:
    difference = tf.reduce_mean(tf.abs(previous - following), axis=-1, keepdims=True)
    x = tf.concat([previous, following, difference], axis=-1)
    x = tf.nn.avg_pool2d(x, _HALF, _HALF, "SAME") - 0.5
    for layer in range(len(_LAYERS)):
        kernel, bias = weights[2 * layer], weights[2 * layer + 1]
        x = tf.nn.conv2d(x, kernel, 1, "SAME") + bias
        if layer < len(_LAYERS) - 1:
            x = tf.nn.relu(x)
    return x


def _blur(images: tf.Tensor, side: int) -> tf.Tensor:
    return tf.nn.avg_pool2d(images, side, 1, "SAME")
