"""The interpolation network: warps, and a small head that corrects, blends and completes them. Imports TensorFlow.

The head is what is trained. It sees, at half resolution, how the two refined half-way warps of `flow` and the
neighbours differ, and how things move. For each pixel it returns

- a correction of the flow: how far beside its place each warp is sampled again, at most `REACH` pixels;
- a share of each candidate: the corrected warps, the plain warps, the neighbours, the mean of the refined warps
  blurred lightly and strongly, and what another engine draws, if there is one. Shares sum to 1: noise is averaged
  away, and what is covered is avoided;
- a small residual, which is added.

Where the warps agree there is nothing to correct: corrections, blurs and residual count as far as they differ.

With untrained weights the result is about the mean of the refined warps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import cast

import keras
import numpy as np
import tensorflow as tf

from common.features import FloatArray

REACH = 6.0
"""Largest correction of the flow, pixels."""

MULTIPLE = 4
"""Sides of the frames are multiples of this: the head works at half and at a quarter of the resolution."""

CONTEXT = 64
"""Pixels around a part of a frame beyond which nothing changes it: the reach of the head's convolutions and of `REACH`,
rounded up to a multiple of `MULTIPLE`."""

_CANDIDATES = 8  # beside what another engine draws
_CORRECTION = 4  # x and y for each warp
_HALF = 2
_RESIDUAL = 3 * _HALF * _HALF
_INPUTS = 4 * _HALF * _HALF + 10  # see `_features`
_FURTHER_INPUTS = _HALF * _HALF + 1  # of each image that another engine draws
_WIDE, _DEEP = 24, 32  # channels at half and at a quarter of the resolution
_IN_DOUBT = 2.0 / 255.0  # difference of the warps at which half of what is not a mere share is let through
_LARGEST_RESIDUAL = 0.25  # of full scale
_CALM = 0.1  # of corrections and residuals, so that a step of training does not change them more than the shares
_CONTRAST = 4.0  # differences of frames are seldom more than a quarter of full scale
_PIXELS = 1.0 / 16.0  # of motion: brings most of it to about 1
_WARP_LOGIT = 3.0  # initially most of each pixel is of the refined warps


@lru_cache
def _head(further: int) -> keras.Model:
    """Return the head; its weights are given to each call, so the model's own are never used."""
    layers = keras.layers

    def conv(x: keras.KerasTensor, channels: int, **how: object) -> keras.KerasTensor:
        return layers.Conv2D(channels, 3, padding="same", activation="leaky_relu", **how)(x)

    seen = keras.Input((None, None, _INPUTS + _FURTHER_INPUTS * further))
    near = conv(conv(seen, _WIDE), _WIDE)
    far = conv(near, _DEEP, strides=_HALF)
    for dilation in (1, 2, 4):
        far = far + conv(far, _DEEP, dilation_rate=dilation)
    wide = layers.UpSampling2D(_HALF)(layers.Conv2D(_WIDE, 1)(far))
    channels = _CANDIDATES + _CORRECTION + _RESIDUAL + further
    out = layers.Conv2D(channels, 3, padding="same")(layers.LeakyReLU()(near + wide))
    return keras.Model(seen, out)


def weight_shapes(further: int) -> list[tuple[int, ...]]:
    """Return the shapes of the head's weights, in the order in which they are given.

    `further` is the number of images that another engine draws.
    """
    return [tuple(variable.shape) for variable in _head(further).trainable_variables]


def new_weights(seed: int) -> tuple[FloatArray, ...]:
    """Return initial weights, with which the network returns approximately the mean of the refined warps.

    Kernels are drawn from He's normal distribution (He et al., 2015); that of the last layer is 0, so that training
    begins with what is known to be good.
    """
    numbers = np.random.Generator(np.random.PCG64(seed))
    weights = [
        (numbers.standard_normal(shape) * np.sqrt(2.0 / np.prod(shape[:-1]))).astype(np.float32)
        if len(shape) > 1
        else np.zeros(shape, np.float32)
        for shape in weight_shapes(further=0)
    ]
    weights[-2][:] = 0.0
    weights[-1][:2] = _WARP_LOGIT
    return tuple(weights)


def widened(weights: Sequence[FloatArray], further: int) -> tuple[FloatArray, ...]:
    """Return the weights of a head without drawn images for one with `further` of them.

    It does not look at them yet, and gives each of them as much as untrained weights give a refined warp.
    """
    wide = [np.zeros(shape, np.float32) for shape in weight_shapes(further)]
    for new, old in zip(wide, weights, strict=True):
        new[tuple(slice(side) for side in old.shape)] = old
    wide[-1][len(weights[-1]) :] = _WARP_LOGIT
    return tuple(wide)


def interpolate(
    weights: Sequence[tf.Variable | tf.Tensor],
    neighbours: tf.Tensor,
    plain: tf.Tensor,
    refined: tf.Tensor,
    motion: tf.Tensor,
    further: tf.Tensor,
) -> tf.Tensor:
    """Return the middle frames (n, h, w, 3) between pairs of neighbours, float32, about in 0 to 1.

    Parameters
    ----------
    weights : of the head, in the order of `weight_shapes`
    neighbours : (n, 2, h, w, 3) float32 in 0 to 1, h and w multiples of `MULTIPLE`
    plain, refined : (n, 2, h, w, 3) float32 in 0 to 1, the half-way warps of `flow`
    motion : (n, h, w, 2) float32, pixels
    further : (n, k, h, w, 3) float32 in 0 to 1, what another engine draws
    """
    pairs = [(pair[:, 0], pair[:, 1]) for pair in (refined, plain, neighbours)]
    (first, last), *others = pairs
    mean = (first + last) / 2.0
    light = _light_blur(mean)
    unlike = _strong_blur(tf.reduce_mean(tf.abs(first - last), axis=-1, keepdims=True))
    drawn = tf.unstack(further, axis=1)
    out, _ = _head(len(drawn)).stateless_call(weights, [], _features(pairs, light, motion, drawn))
    logits, correction, residual, more = tf.split(out, [_CANDIDATES, _CORRECTION, _RESIDUAL, len(drawn)], axis=-1)
    size = tf.shape(first)[1:3]
    doubt = unlike / (unlike + _IN_DOUBT)
    shares = tf.nn.softmax(tf.image.resize(tf.concat([logits, more], axis=-1), size), axis=-1)
    moves = REACH * doubt * tf.tanh(_CALM * tf.image.resize(correction, size))
    candidates = [
        _sampled(first, moves[..., :2]),
        _sampled(last, moves[..., 2:]),
        *(image for pair in others for image in pair),
        *(mean + doubt * (blurred - mean) for blurred in (light, _strong_blur(mean))),
        *drawn,
    ]
    blended = tf.einsum("nhwk,nhwkc->nhwc", shares, tf.stack(candidates, axis=-2))
    return blended + _LARGEST_RESIDUAL * doubt * tf.tanh(_CALM * tf.nn.depth_to_space(residual, _HALF))


def _features(
    pairs: Sequence[tuple[tf.Tensor, tf.Tensor]], light: tf.Tensor, motion: tf.Tensor, drawn: Sequence[tf.Tensor]
) -> tf.Tensor:
    """Return what the head sees, (n, h / 2, w / 2, _INPUTS + _FURTHER_INPUTS * k).

    That is the grey of the refined warps and the neighbours relative to the local light, pixel by pixel; how far the
    two of each pair differ, and the means of the warps from each other and from their blur; the light; the motion,
    with how it changes from place to place, which is where things cover each other; and the grey of the drawn images,
    and how far each differs from the mean of the warps. It sees no colours: with few triplets to learn from, it would
    learn what is seen instead of what goes wrong.

    Parameters
    ----------
    pairs : the refined warps, the plain warps and the neighbours, each image (n, h, w, 3)
    light : (n, h, w, 3), the mean of the refined warps, blurred lightly
    drawn : the k images that another engine draws, (n, h, w, 3) each
    """
    greys = [tuple(tf.reduce_mean(image, axis=-1, keepdims=True) for image in pair) for pair in pairs]
    refined, plain, neighbours = greys
    mean, other = ((one + two) / 2.0 for one, two in (refined, plain))
    blurred = tf.reduce_mean(light, axis=-1, keepdims=True)
    grey = tf.concat([*refined, *neighbours], axis=-1)
    differences = [tf.abs(one - two) for one, two in (*greys, (mean, other), (mean, blurred))]
    move = _PIXELS * motion
    rest = [*(_CONTRAST * row for row in differences), mean, move, move - _strong_blur(move)]
    seen = _at_half(_CONTRAST * (grey - _strong_blur(mean)), rest)
    if drawn:
        others = [tf.reduce_mean(image, axis=-1, keepdims=True) for image in drawn]
        seen += _at_half(
            _CONTRAST * (tf.concat(others, axis=-1) - _strong_blur(mean)),
            [_CONTRAST * tf.abs(mean - image) for image in others],
        )
    return tf.concat(seen, axis=-1)


def _at_half(whole: tf.Tensor, means: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Return features at half resolution: of `whole` each pixel, of `means` the average."""
    return [
        tf.nn.space_to_depth(whole, _HALF),
        tf.nn.avg_pool2d(tf.concat(means, axis=-1), _HALF, _HALF, "SAME"),
    ]


def _sampled(images: tf.Tensor, moves: tf.Tensor) -> tf.Tensor:
    """Return images (n, h, w, 3) sampled at each pixel's place plus `moves` (n, h, w, 2), bilinearly; edges repeat."""
    shape = tf.shape(images)
    height, width = shape[1], shape[2]
    x = tf.cast(tf.range(width), tf.float32) + moves[..., 0]
    y = tf.cast(tf.range(height), tf.float32)[:, None] + moves[..., 1]
    x = tf.clip_by_value(x, 0.0, tf.cast(width - 1, tf.float32))
    y = tf.clip_by_value(y, 0.0, tf.cast(height - 1, tf.float32))
    left = tf.minimum(tf.cast(x, tf.int32), width - 2)
    top = tf.minimum(tf.cast(y, tf.int32), height - 2)
    right_share = (x - tf.cast(left, tf.float32))[..., None]
    lower_share = (y - tf.cast(top, tf.float32))[..., None]
    pixels = tf.reshape(images, [-1, 3])
    corner = (tf.range(shape[0])[:, None, None] * height + top) * width + left

    def row(start: tf.Tensor) -> tf.Tensor:
        one, other = tf.gather(pixels, start), tf.gather(pixels, start + 1)
        return one + right_share * (other - one)

    upper, lower = row(corner), row(corner + width)
    return upper + lower_share * (lower - upper)


def _light_blur(images: tf.Tensor) -> tf.Tensor:
    """Return the box blur of 3 x 3 pixels; sums of shifted images are ten times as fast here as average pooling."""
    padded = tf.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), "SYMMETRIC")
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / 9.0


def _strong_blur(images: tf.Tensor) -> tf.Tensor:
    """Return the means of 4 x 4 pixels, interpolated: about a blur of 7 pixels."""
    return tf.image.resize(tf.nn.avg_pool2d(images, MULTIPLE, MULTIPLE, "VALID"), tf.shape(images)[1:3])


@lru_cache
def predictor(further: int) -> Callable[..., tf.Tensor]:
    """Return what does what `interpolate` does, as uint8 of uint8; traced once, for frames of every size.

    `further` is the number of images that another engine draws.
    """

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=(
            tuple(tf.TensorSpec(shape, tf.float32) for shape in weight_shapes(further)),
            *(tf.TensorSpec((None, 2, None, None, 3), tf.uint8) for _ in range(3)),
            tf.TensorSpec((None, None, None, 2), tf.float16),
            tf.TensorSpec((None, further, None, None, 3), tf.uint8),
        )
    )
    def predict(
        weights: Sequence[tf.Tensor],
        neighbours: tf.Tensor,
        plain: tf.Tensor,
        refined: tf.Tensor,
        motion: tf.Tensor,
        drawn: tf.Tensor,
    ) -> tf.Tensor:
        outer, warps, better, other = (
            tf.cast(part, tf.float32) / 255.0 for part in (neighbours, plain, refined, drawn)
        )
        middle = interpolate(weights, outer, warps, better, tf.cast(motion, tf.float32), other)
        return tf.saturate_cast(tf.round(255.0 * middle), tf.uint8)

    return cast(Callable[..., tf.Tensor], predict)
