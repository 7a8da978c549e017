"""The network and its training, in Keras. It is imported when a model is used: TensorFlow takes seconds to import."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import lru_cache

import keras
import numpy as np
import numpy.typing as npt

from common.errors import TrainingFailed
from common.features import FloatArray
from common.models.protocols import TrainingProgress

Squares = npt.NDArray[np.uint8]
"""(n, side, side, 3) uint8 RGB."""

TURNS = 4
_DB_PER_NAT = 10.0 / np.log(10.0)
_LEARNING_RATE = 2e-3
_TOLD_EVERY = 25  # steps
_BATCH = 64  # squares, each in four turns, that are looked at together


def network(seed: int) -> keras.Model:
    """Return a network of 15 000 weights, which gives each of the four turns of a square a logit."""
    layers = keras.layers
    seen = keras.Input((None, None, 3))
    x = layers.Rescaling(2.0 / 255.0, offset=-1.0)(seen)
    for depth, channels in enumerate((16, 24, 32)):
        start = keras.initializers.HeNormal(seed + depth)
        x = layers.Conv2D(channels, 3, strides=2, activation="relu", padding="same", kernel_initializer=start)(x)
    x = layers.Flatten()(layers.Resizing(4, 4)(x))
    return keras.Model(seen, layers.Dense(TURNS, kernel_initializer=keras.initializers.HeNormal(seed + 3))(x))


@lru_cache(maxsize=1)
def _shared() -> keras.Model:
    """The network of which only the form is used: each call is given its weights."""
    return network(0)


def turned(squares: Squares) -> Squares:
    """Return (n, 4, side, side, 3): each square turned by 0, 1, 2 and 3 quarters."""
    return np.stack([np.rot90(squares, turn, axes=(1, 2)) for turn in range(TURNS)], axis=1)


def shares(weights: Sequence[FloatArray], squares: Squares) -> FloatArray:
    """Return (n, 4, 4) how likely a network finds each turn (last) of a square that is turned so far (middle)."""
    found = [np.zeros((0, TURNS), np.float32)]
    for start in range(0, len(squares), _BATCH):
        some = turned(squares[start : start + _BATCH])
        logits, _ = _shared().stateless_call(weights, [], some.reshape(-1, *some.shape[2:]).astype(np.float32))
        found.append(np.asarray(keras.ops.softmax(logits)))
    return np.concatenate(found).reshape(-1, TURNS, TURNS)


def train(
    weights: Sequence[FloatArray] | None,
    parts: Sequence[tuple[Squares, int]],
    *,
    steps: int,
    seconds: float,
    seed: int,
    progress: Callable[[TrainingProgress], None],
) -> tuple[tuple[FloatArray, ...], int, float]:
    """Return weights trained with Adam, and the steps and seconds that it took.

    Parameters
    ----------
    weights : to start from; None: drawn at random
    parts : squares, and how many of them are in each step; each is shown in all four turns

    Raises
    ------
    TrainingFailed
        If the loss is no number any more.
    """
    learner = network(seed)
    if weights is not None:
        learner.set_weights(list(weights))
    learner.compile(keras.optimizers.Adam(_LEARNING_RATE), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    numbers, began, step = np.random.default_rng(seed), time.monotonic(), 0
    while step < steps and time.monotonic() - began < seconds:
        chosen = [squares[numbers.integers(len(squares), size=count)] for squares, count in parts]
        some = turned(np.concatenate(chosen))
        truth = np.tile(np.arange(TURNS), len(some))
        learner.reset_metrics()  # else the loss that is returned is the mean since the first step
        nats = learner.train_on_batch(some.reshape(-1, *some.shape[2:]).astype(np.float32), truth)
        step += 1
        if not np.isfinite(nats):
            raise TrainingFailed(f"the training diverged at step {step}: lower the learning rate")
        if step % _TOLD_EVERY == 0:
            progress(TrainingProgress(step, time.monotonic() - began, float(nats * _DB_PER_NAT)))
    return tuple(learner.get_weights()), step, time.monotonic() - began
