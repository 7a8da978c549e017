"""Fine-tuning: a challenger grows out of the champion on drifted footage, with golden replay beside it.

TensorFlow is imported when a training starts, never with this module.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from common.errors import BadSource
from common.features import FloatArray
from common.models.protocols import Challenger, TrainingProgress
from common.models.vfi.model import Interpolator
from common.models.vfi.scores import split_in_blocks
from common.models.vfi.triplets import TripletArray

if TYPE_CHECKING:
    import tensorflow as tf

_BATCH = 8  # triplets a step
_REPLAY_SHARE = 0.5  # of each batch: without golden frames beside it the model forgets them (about 1 dB)
_LEARNING_RATE = 2e-3
_ROUNDING_ERROR = 1.0 / 12.0 / 255.0**2  # mean squared error of rounding to 8 bits: nothing to gain below it
_AVERAGED_SHARE = 8  # weights are averaged over about the last 1 / (1 + this) of the steps: single steps are noisy
_REPORT_EVERY = 10  # steps
_FIRST_FIT_STEPS = 200  # of the first champion; steps, not seconds, so that every machine gets the same model
_MAX_STEPS = 2000  # by then it has learned what it can
_FEWEST = 2  # triplets of each kind to train on


class InterpolatorTrainer:
    """Fine-tunes an `Interpolator` by gradient steps (Adam on the mean PSNR).

    Parameters
    ----------
    max_steps : end after so many steps even if there is time left
    """

    def __init__(self, max_steps: int = _MAX_STEPS) -> None:
        self.max_steps = max_steps

    def fine_tune(
        self,
        champion: Interpolator,
        drifted: TripletArray,
        replay: TripletArray,
        *,
        seconds: float,
        seed: int,
        progress: Callable[[TrainingProgress], None],
    ) -> Challenger[Interpolator]:
        """Fine-tune for at most `seconds`.

        Parameters
        ----------
        champion : where the challenger starts from; it is not changed
        drifted : (n, 3, h, w, 3) uint8, footage to get better on; none of it is held out here
        replay : (m, 3, h, w, 3) uint8, golden footage not to get worse on; likewise
        seconds : how long to take steps
        seed : of the order in which triplets are seen
        progress : called every few steps

        Raises
        ------
        BadSource
            If there are too few triplets to train on.
        """
        if min(len(drifted), len(replay)) < _FEWEST:
            raise BadSource(
                f"{len(drifted)} drifted and {len(replay)} golden frame triplets are too few to train on: "
                f"at least {_FEWEST} of each are needed"
            )
        run = _Run(champion.weights, drifted, replay, seed)
        run.take_steps(self.max_steps, seconds, progress)
        return Challenger(Interpolator(run.averaged), run.steps, run.seconds)


def initial_champion(replay: TripletArray, *, seed: int, steps: int = _FIRST_FIT_STEPS) -> Interpolator:
    """Return the first champion of a line: the network, fitted to the golden footage (n, 3, h, w, 3) uint8.

    Held-out golden triplets stay unseen here too, so that later comparisons on them are fair.
    """
    from common.models.vfi.network import new_weights

    training = replay[split_in_blocks(len(replay)).training]
    run = _Run(new_weights(seed), training, training, seed)
    run.take_steps(steps, float("inf"), lambda step: None)
    return Interpolator(run.averaged)


class _Run:
    """One training: the weights as they move, and their running average."""

    def __init__(self, weights: Sequence[FloatArray], drifted: TripletArray, replay: TripletArray, seed: int) -> None:
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
        # Tracing the graph takes a second or two and teaches nothing: its first call is not on the clock.
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
        batch = np.concatenate([self._pick(self.drifted, _BATCH - replayed), self._pick(self.replay, replayed)])
        loss = float(self._step(batch))
        self.steps += 1
        # The average reaches back a fixed share of the way: what the first steps tried is forgotten.
        keep = self.steps / (self.steps + 1.0 + _AVERAGED_SHARE)
        self.averaged = tuple(
            keep * old + (1.0 - keep) * now.numpy() for old, now in zip(self.averaged, self._variables, strict=True)
        )
        return loss

    def _pick(self, triplets: TripletArray, count: int) -> TripletArray:
        picked = triplets[self._numbers.integers(len(triplets), size=count)]
        # Motion has no preferred direction: mirrored in time and left to right is new footage for free.
        if self._numbers.random() < 0.5:
            picked = picked[:, ::-1]
        return picked[:, :, :, ::-1] if self._numbers.random() < 0.5 else picked

    def _one_step(self, batch: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        from common.models.vfi.network import interpolate

        frames = tf.cast(batch, tf.float32) / 255.0
        with tf.GradientTape() as tape:
            middle = interpolate(self._variables, frames[:, 0], frames[:, 2])
            errors = tf.reduce_mean(tf.square(middle - frames[:, 1]), axis=(1, 2, 3))
            # The mean PSNR itself, in dB: squared errors alone would give the noisiest footage all the say,
            # and dark footage none.
            loss = 10.0 / math.log(10.0) * tf.reduce_mean(tf.math.log(errors + _ROUNDING_ERROR))
        self._optimizer.apply_gradients(zip(tape.gradient(loss, self._variables), self._variables, strict=True))
        return loss
