"""A training of the head: random crops of triplets, Adam, an exponential average, and when to stop.

TensorFlow is imported when a training starts, not with this module.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from common.errors import TrainingFailed
from common.features import FloatArray
from common.models.protocols import TrainingProgress
from common.models.vfi.design import Engine
from common.models.vfi.flow import Warped
from common.models.vfi.triplets import TripletArray

if TYPE_CHECKING:
    import tensorflow as tf

Arrays = tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]
"""Neighbours, plain and refined warps (n, 2, h, w, 3) each, motion (n, h, w, 2), what another engine draws
(n, k, h, w, 3), and middle frames (n, h, w, 3)."""

_WARM_UP = 40  # steps in which the learning rate rises: the first steps of Adam change all weights alike
_LAST_RATE = 0.1  # share of the learning rate that is left in the end; it falls as a cosine does
_NO_ERROR = 0.25 / 255.0**2  # mean squared error, 54 dB; smaller ones cannot be seen, and would outweigh all others
_REPORT_EVERY = 10  # steps
_CHECK_EVERY = 50  # steps


@dataclass(frozen=True, eq=False)
class Pool:
    """Triplets (n, 3, h, w, 3) uint8 with their motion, which is computed once."""

    triplets: TripletArray
    warped: Warped

    @classmethod
    def of(cls, triplets: TripletArray, engine: Engine) -> Pool:
        return cls(triplets, engine.warp(triplets))

    def room(self, crop: tuple[int, int]) -> list[tuple[int, int]]:
        """Return height and width of the triplets, each with that of a crop: at most `crop`, divisible."""
        from common.models.vfi.network import MULTIPLE

        sides = self.triplets.shape[2:4]
        return [(full, min(full - full % MULTIPLE, part)) for full, part in zip(sides, crop, strict=True)]

    def random_crops(self, count: int, crop: tuple[int, int], numbers: np.random.Generator) -> Arrays:
        """Return random crops of `count` random triplets, some of them mirrored.

        Motion has no preferred direction, so triplets are mirrored in time, left to right, and upside down at random.
        """
        corners = [numbers.integers(full - part + 1, size=count) for full, part in self.room(crop)]
        chosen = numbers.integers(len(self.triplets), size=count)
        images, motion = self._crops(chosen.tolist(), corners[0].tolist(), corners[1].tolist(), crop)
        if numbers.random() < 0.5:
            images, motion = [row[:, ::-1] for row in images], -motion
        if numbers.random() < 0.5:
            images, motion = [row[..., ::-1, :] for row in images], motion[..., ::-1, :] * (-1.0, 1.0)
        if numbers.random() < 0.5:
            images, motion = [row[..., ::-1, :, :] for row in images], motion[..., ::-1, :, :] * (1.0, -1.0)
        return _as_floats(images, np.asarray(motion, np.float32))

    def fixed_crops(self, count: int, crop: tuple[int, int]) -> Arrays:
        """Return the middle of `count` triplets that are spread over all, or of all."""
        chosen = np.linspace(0, len(self.triplets) - 1, min(count, len(self.triplets))).astype(int).tolist()
        top, left = ((full - part) // 2 for full, part in self.room(crop))
        return _as_floats(*self._crops(chosen, [top] * len(chosen), [left] * len(chosen), crop))

    def _crops(
        self, chosen: Sequence[int], tops: Sequence[int], lefts: Sequence[int], crop: tuple[int, int]
    ) -> tuple[list[npt.NDArray[np.uint8]], FloatArray]:
        """Return the crops of triplets, plain and refined warps, and what another engine draws; and of the motion."""
        (_, height), (_, width) = self.room(crop)
        parts = [
            (number, slice(top, top + height), slice(left, left + width))
            for number, top, left in zip(chosen, tops, lefts, strict=True)
        ]
        images = [
            np.stack([whole[number, :, rows, columns] for number, rows, columns in parts])
            for whole in (self.triplets, self.warped.plain, self.warped.refined, self.warped.further)
        ]
        return images, np.stack([self.warped.motion[part] for part in parts]).astype(np.float32)


def _as_floats(images: Sequence[npt.NDArray[np.uint8]], motion: FloatArray) -> Arrays:
    frames, plain, refined, further = (row.astype(np.float32) / np.float32(255.0) for row in images)
    return frames[:, ::2], plain, refined, motion, further, frames[:, 1]


class Run:
    """One training.

    Parameters
    ----------
    weights : to start from
    pools : what is trained on, with the number of triplets of each batch
    crop : height and width of the part of a triplet that a step sees, pixels
    checks : what tells when to stop, with the share of each in the mean; none: all steps are taken
    rate : learning rate of the first step
    steps : most steps
    decay : of the exponential average of the weights
    patience : checks without a new best, one every 50 steps, after which the training stops
    checked : most crops of each pool of `checks`
    seed : determines everything that is chosen at random
    """

    def __init__(
        self,
        weights: Sequence[FloatArray],
        pools: Sequence[tuple[Pool, int]],
        checks: Sequence[tuple[Pool, float]],
        *,
        crop: tuple[int, int],
        rate: float,
        steps: int,
        decay: float,
        seed: int,
        patience: int = 3,
        checked: int = 16,
    ) -> None:
        import keras
        import tensorflow as tf

        self.steps = 0
        self.seconds = 0.0
        self.best = tuple(weights)
        """The averaged weights that were best on the checks."""
        self._pools = pools
        self._crop = crop
        self._most = steps
        self._patience = patience
        self._numbers = np.random.Generator(np.random.PCG64(seed))
        self._variables = [tf.Variable(w) for w in weights]
        self._averaged = [tf.Variable(w, trainable=False) for w in weights]
        self._decay = decay
        rising = min(_WARM_UP, steps // 4)
        schedule = keras.optimizers.schedules.CosineDecay(
            0.0, max(steps - rising, 1), alpha=_LAST_RATE, warmup_target=rate, warmup_steps=rising
        )
        self._optimizer = keras.optimizers.Adam(schedule)
        self._optimizer.build(self._variables)
        self._step = tf.function(self._one_step)
        self._score = tf.function(self._loss)
        self._checks = [(pool.fixed_crops(checked, crop), share) for pool, share in checks]
        self._best_loss = self._latest_check = self._checked()
        self._since_best = 0

    def take_steps(self, seconds: float, progress: Callable[[TrainingProgress], None]) -> None:
        """Take steps for at most `seconds`, at least one, until there is no more time or it no longer helps.

        Raises `TrainingFailed` if the loss is no longer a number.
        """
        # The first step includes tracing the graph, which takes a second or two; that time is not counted.
        loss = self._advance()
        started = time.monotonic()
        while self.steps < self._most and self.seconds < seconds and self._since_best < self._patience:
            loss = self._advance()
            self.seconds = time.monotonic() - started
            if self.steps % _REPORT_EVERY == 0:
                progress(self._progress(loss))
            if self.steps % _CHECK_EVERY == 0:
                self._check()
        if self.steps % _CHECK_EVERY or self.steps == 1:
            self._check()
        progress(self._progress(loss))

    def _progress(self, loss: float) -> TrainingProgress:
        shares = sum(share for _, share in self._checks)
        return TrainingProgress(self.steps, self.seconds, loss, -self._latest_check / shares if shares else None)

    def _check(self) -> None:
        loss = self._latest_check = self._checked()
        if not self._checks or loss < self._best_loss:
            self._best_loss, self._since_best = loss, 0
            self.best = tuple(np.asarray(variable.numpy(), np.float32) for variable in self._averaged)
        else:
            self._since_best += 1

    def _checked(self) -> float:
        return sum(share * float(self._score(self._averaged, *crops)) for crops, share in self._checks)

    def _advance(self) -> float:
        parts = [pool.random_crops(count, self._crop, self._numbers) for pool, count in self._pools]
        loss = float(self._step(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True))))
        self.steps += 1
        if not math.isfinite(loss):
            raise TrainingFailed(f"the loss was no number after step {self.steps}: the training diverged")
        # The average covers a share of the first steps, so that it soon forgets the weights that it began with.
        keep = min(self._decay, self.steps / (self.steps + 9.0))
        for averaged, now in zip(self._averaged, self._variables, strict=True):
            averaged.assign(keep * averaged + (1.0 - keep) * now)
        return loss

    def _one_step(self, *arrays: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = self._loss(self._variables, *arrays)
        self._optimizer.apply_gradients(zip(tape.gradient(loss, self._variables), self._variables, strict=True))
        return loss

    @staticmethod
    def _loss(weights: Sequence[tf.Variable], *arrays: tf.Tensor) -> tf.Tensor:
        """Return minus the mean PSNR, in dB, of `Arrays`.

        The mean squared error would be dominated by the noisiest triplets, and dark ones would hardly count.
        """
        import tensorflow as tf

        from common.models.vfi.network import interpolate

        *seen, middle = arrays
        errors = tf.reduce_mean(tf.square(interpolate(weights, *seen) - middle), axis=(1, 2, 3))
        return 10.0 / math.log(10.0) * tf.reduce_mean(tf.math.log(errors + _NO_ERROR))
