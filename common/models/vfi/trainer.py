"""Fine-tuning: makes a challenger from the champion, on drifted footage mixed with golden replay.

TensorFlow is imported when training starts, not with this module.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from common.errors import BadSource
from common.features import FloatArray
from common.models.protocols import Challenger, TrainingProgress
from common.models.vfi.flow import WarpArray, halfway_warps
from common.models.vfi.model import Interpolator
from common.models.vfi.triplets import TripletArray

if TYPE_CHECKING:
    import tensorflow as tf

_BATCH = 8  # triplets per step
_CROP = (96, 160)  # height and width of the part of a triplet that a step sees, pixels: a step takes milliseconds
_REPLAY_SHARE = 0.5  # of each batch; without golden frames the model forgets them, at a loss of about 1 dB
_LEARNING_RATE = 4e-3
_ROUNDING_ERROR = 1.0 / 12.0 / 255.0**2  # mean squared error of rounding to 8 bits; smaller errors count as equal
_AVERAGING = 8  # weights are averaged over about the last 1 / (1 + this) of the steps, because single steps are noisy
_REPORT_EVERY = 10  # steps
_FIRST_FIT_STEPS = 120  # of the first champion; steps and not seconds, so that every machine gets the same model
_MIN_TRIPLETS = 2  # of each kind, to train on


class InterpolatorTrainer:
    """Fine-tunes an `Interpolator` with Adam; the loss is minus the mean PSNR."""

    def fine_tune(
        self,
        champion: Interpolator,
        drifted: TripletArray,
        replay: TripletArray,
        *,
        steps: int,
        seconds: float,
        seed: int,
        progress: Callable[[TrainingProgress], None],
    ) -> Challenger[Interpolator]:
        """Fine-tune for `steps`, and for at most `seconds`; all triplets are used for training.

        Parameters
        ----------
        champion : the model to start from; not modified
        drifted : (n, 3, h, w, 3) uint8, drifted footage to improve on
        replay : (m, 3, h, w, 3) uint8, golden footage on which the model must not get worse
        steps : number of training steps, if there is time for them
        seconds : time limit of the training steps
        seed : determines the choice and order of triplets
        progress : called every few steps

        Raises
        ------
        BadSource
            If there are too few triplets to train on.
        """
        if min(len(drifted), len(replay)) < _MIN_TRIPLETS:
            raise BadSource(
                f"{len(drifted)} drifted and {len(replay)} golden frame triplets are too few to train on: "
                f"at least {_MIN_TRIPLETS} of each are needed"
            )
        run = _Run(champion.weights, _Warped(drifted), _Warped(replay), seed)
        run.take_steps(steps, seconds, progress)
        return Challenger(Interpolator(run.averaged), run.steps, run.seconds)


def initial_champion(replay: TripletArray, *, seed: int, steps: int = _FIRST_FIT_STEPS) -> Interpolator:
    """Return a first champion: the network fitted to golden footage (n, 3, h, w, 3) uint8, to all of it."""
    from common.models.vfi.network import new_weights

    training = _Warped(replay)
    run = _Run(new_weights(seed), training, training, seed)
    run.take_steps(steps, float("inf"), lambda step: None)
    return Interpolator(run.averaged)


class _Warped:
    """Triplets with their half-way warps, which are computed once."""

    def __init__(self, triplets: TripletArray) -> None:
        self.triplets = triplets
        self.warps = halfway_warps(triplets)

    def room(self) -> list[tuple[int, int]]:
        """Return height and width of the frames, each with that of a crop: even, because the network halves frames."""
        sides = self.triplets.shape[2:4]
        return [(full, min(full - full % 2, part)) for full, part in zip(sides, _CROP, strict=True)]

    def crops(
        self, chosen: npt.NDArray[np.intp], tops: npt.NDArray[np.intp], lefts: npt.NDArray[np.intp]
    ) -> tuple[TripletArray, WarpArray]:
        """Return a crop of each chosen triplet, (n, 3, h, w, 3), and the same crop of its warps, (n, 2, h, w, 3)."""
        (_, height), (_, width) = self.room()
        parts = [
            (number, slice(None), slice(top, top + height), slice(left, left + width))
            for number, top, left in zip(chosen, tops, lefts, strict=True)
        ]
        return np.stack([self.triplets[part] for part in parts]), np.stack([self.warps[part] for part in parts])


class _Run:
    """The state of one training: current weights, and their running average."""

    def __init__(self, weights: Sequence[FloatArray], drifted: _Warped, replay: _Warped, seed: int) -> None:
        import keras
        import tensorflow as tf

        self.drifted = drifted
        self.replay = replay
        self.steps = 0
        self.seconds = 0.0
        self.averaged = tuple(weights)
        self._numbers = np.random.Generator(np.random.PCG64(seed))
        self._variables = [tf.Variable(w) for w in weights]
        self._optimizer = keras.optimizers.Adam(_LEARNING_RATE)
        self._optimizer.build(self._variables)
        self._step = tf.function(self._one_step)

    def take_steps(self, most: int, seconds: float, progress: Callable[[TrainingProgress], None]) -> None:
        """Take up to `most` steps within `seconds`, at least one."""
        # The first step includes tracing the graph, which takes a second or two; that time is not counted.
        self._advance()
        started = time.monotonic()
        loss = self._advance() if most > 1 else 0.0
        while self.steps < most and self.seconds < seconds:
            loss = self._advance()
            self.seconds = time.monotonic() - started
            if self.steps % _REPORT_EVERY == 0:
                progress(TrainingProgress(self.steps, self.seconds, loss))
        progress(TrainingProgress(self.steps, self.seconds, loss))

    def _advance(self) -> float:
        replayed = round(_BATCH * _REPLAY_SHARE)
        drifted, replay = self._pick(self.drifted, _BATCH - replayed), self._pick(self.replay, replayed)
        triplets, warps = (np.concatenate(parts) for parts in zip(drifted, replay, strict=True))
        loss = float(self._step(triplets, warps))
        self.steps += 1
        # The average covers a fixed share of the latest steps, so the first ones lose their influence.
        keep = self.steps / (self.steps + 1.0 + _AVERAGING)
        self.averaged = tuple(
            keep * old + (1.0 - keep) * now.numpy() for old, now in zip(self.averaged, self._variables, strict=True)
        )
        return loss

    def _pick(self, footage: _Warped, count: int) -> tuple[TripletArray, WarpArray]:
        """Return random crops of `count` random triplets, and of their warps."""
        corners = [self._numbers.integers(full - part + 1, size=count) for full, part in footage.room()]
        chosen = self._numbers.integers(len(footage.triplets), size=count)
        triplets, warps = footage.crops(chosen, *corners)
        # Augmentation: motion has no preferred direction, so triplets are mirrored in time and left to right at random.
        if self._numbers.random() < 0.5:
            triplets, warps = triplets[:, ::-1], warps[:, ::-1]
        if self._numbers.random() < 0.5:
            triplets, warps = triplets[:, :, :, ::-1], warps[:, :, :, ::-1]
        return triplets, warps

    def _one_step(self, triplets: tf.Tensor, warps: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        from common.models.vfi.network import interpolate

        frames, moved = (tf.cast(images, tf.float32) / 255.0 for images in (triplets, warps))
        with tf.GradientTape() as tape:
            middle = interpolate(self._variables, frames[:, ::2], moved)
            errors = tf.reduce_mean(tf.square(middle - frames[:, 1]), axis=(1, 2, 3))
            # Minus the mean PSNR, in dB. The mean squared error would be dominated by the noisiest triplets, and dark
            # ones would hardly count.
            loss = 10.0 / math.log(10.0) * tf.reduce_mean(tf.math.log(errors + _ROUNDING_ERROR))
        self._optimizer.apply_gradients(zip(tape.gradient(loss, self._variables), self._variables, strict=True))
        return loss
