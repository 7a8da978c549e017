"""Fine-tuning: makes a challenger from the champion, on drifted footage mixed with golden replay.

TensorFlow is imported when training starts, not with this module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from common.errors import BadSource
from common.models.protocols import Challenger, TrainingProgress
from common.models.vfi.design import DESIGN, Design, Engine
from common.models.vfi.model import Interpolator
from common.models.vfi.training import Pool, Run
from common.models.vfi.triplets import TripletArray

_BATCH = 12  # triplets per step
_REPLAY = 3  # of them golden; without golden frames the model forgets them, at a loss of about 1 dB
_MOST_AGAIN = 3  # of them of earlier conditions, which are forgotten as golden frames are: two of one, three of several
_CROP = (64, 96)  # height and width of the part of a triplet that a step sees, pixels
_LEARNING_RATE = 2e-3
_DECAY = 0.98  # of the exponential average of the weights, because single steps are noisy: about the last 50 steps
_CHECK_SHARE = 8  # one of so many triplets is not trained on, but tells when to stop
_FEWEST_TO_CHECK = 16  # triplets of each kind; with fewer, all are trained on
_MIN_TRIPLETS = 2  # of each kind, to train on


class InterpolatorTrainer:
    """Fine-tunes the head of an `Interpolator` with Adam; the loss is minus the mean PSNR.

    What is returned is the exponential average of the weights where it was best on triplets that were not trained on.

    Parameters
    ----------
    design : kind of the models that it is given
    engine : finds what the design's engine finds; None: that one
    """

    def __init__(self, design: Design = DESIGN, engine: Engine | None = None) -> None:
        self._design = design
        self._engine = engine or design.engine

    def fine_tune(
        self,
        champion: Interpolator,
        drifted: TripletArray,
        replay: TripletArray,
        earlier: Sequence[TripletArray] = (),
        *,
        steps: int,
        seconds: float,
        seed: int,
        progress: Callable[[TrainingProgress], None],
    ) -> Challenger[Interpolator]:
        """Fine-tune for up to `steps`, and for at most `seconds`.

        Parameters
        ----------
        champion : the model to start from; not modified
        drifted : (n, 3, h, w, 3) uint8, drifted footage to improve on
        replay : (m, 3, h, w, 3) uint8, golden footage on which the model must not get worse
        earlier : (k, 3, h, w, 3) uint8 of each condition on which it must not get worse either
        steps : number of training steps, if there is time for them and they go on improving the model
        seconds : time limit of the training steps
        seed : determines the choice and order of triplets
        progress : called every few steps

        Raises
        ------
        BadSource
            If there are too few triplets to train on.
        TrainingFailed
            If it diverges.
        """
        if min(len(drifted), len(replay)) < _MIN_TRIPLETS:
            raise BadSource(
                f"{len(drifted)} drifted and {len(replay)} golden frame triplets are too few to train on: "
                f"at least {_MIN_TRIPLETS} of each are needed"
            )
        # The latest of the drifted footage tells when to stop, as later footage is what will come.
        kept = len(drifted) - _checked(len(drifted))
        golden = _spread(len(replay))
        again = min(len(earlier) + 1, _MOST_AGAIN) if earlier else 0
        parts = [
            (drifted[:kept], drifted[kept:], _BATCH - _REPLAY - again),
            (replay[~golden], replay[golden], _REPLAY),
        ]
        if again:
            checks = [_spread(len(row)) for row in earlier]
            training = np.concatenate([row[~check] for row, check in zip(earlier, checks, strict=True)])
            checked = np.concatenate([row[check] for row, check in zip(earlier, checks, strict=True)])
            parts.append((training, checked, again))
        run = Run(
            champion.weights,
            [(Pool.of(training, self._engine), count) for training, _, count in parts],
            [(Pool.of(checked, self._engine), count / _BATCH) for _, checked, count in parts if len(checked)],
            crop=_CROP,
            rate=_LEARNING_RATE,
            steps=steps,
            decay=_DECAY,
            seed=seed,
        )
        run.take_steps(seconds, progress)
        return Challenger(Interpolator(run.best, self._design), run.steps, run.seconds)

    def bytes_per_example(self, shape: tuple[int, ...]) -> int:
        """Return what warps, motion and drawn images of a triplet take: frames, and two short numbers per pixel."""
        _, height, width, channels = shape
        frames = 4 + self._design.engine.further
        return height * width * (frames * channels + 2 * np.dtype(np.float16).itemsize)


def _checked(count: int) -> int:
    return count // _CHECK_SHARE if count >= _FEWEST_TO_CHECK else 0


def _spread(count: int) -> npt.NDArray[np.bool_]:
    """Return which of `count` golden triplets are not trained on: golden footage is of several hours and cameras."""
    chosen = np.zeros(count, bool)
    chosen[np.linspace(0, count - 1, _checked(count)).astype(int)] = True
    return chosen
