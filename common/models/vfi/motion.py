"""Whether footage moves as footage does: its neighbours predict a frame better than distant frames do."""

from __future__ import annotations

import numpy as np

from common.features import FloatArray
from common.models.bounds import lower_bound, mean
from common.models.vfi.triplets import DISTANT, SurroundingsArray

_FEWEST = 8  # surroundings; fewer say nothing
_NO_ERROR = 1e-6  # squared grey levels
_LEAST_RATIO = 1.5  # of the errors; real footage of five cameras has at least 1.8, also under the heaviest noise


def why_unfit(surroundings: SurroundingsArray) -> str | None:
    """Return why footage must not be trained on; None if it moves.

    The mean squared error of the average of distant frames must surely, by the
    lower 95% bound over the triplets, be 1.5 times that of the average of the
    neighbours. It is not for frozen and black footage, random pixels, shuffled
    frames, and stills shown in random order.

    Parameters
    ----------
    surroundings : (n, 5, h, w, 3) uint8, as `triplets.collect` returns them
    """
    if len(surroundings) < _FEWEST:
        return f"only {len(surroundings)} triplets have frames {DISTANT} before and after them: too short to tell"
    distant, near = errors(surroundings)
    if lower_bound(distant - _LEAST_RATIO * near) > 0.0:
        return None
    ratio = mean(distant) / max(mean(near), _NO_ERROR)
    return (
        f"its frames are predicted no better by their neighbours than by frames {DISTANT} away (squared errors "
        f"1 : {ratio:.2f}, surely 1 : {_LEAST_RATIO} is needed): nothing can be learned from it"
    )


def errors(surroundings: SurroundingsArray) -> tuple[FloatArray, FloatArray]:
    """Return the mean squared errors (n,) of two predictions of each middle frame, in squared grey levels.

    The first is the average of the two distant frames, the second that of the two neighbours.
    """
    frames = surroundings.astype(np.float32)
    differences = [(frames[:, i] + frames[:, -1 - i]) / 2.0 - frames[:, 2] for i in (0, 1)]
    distant, near = (np.mean(np.square(difference), axis=(1, 2, 3)) for difference in differences)
    return np.asarray(distant, np.float32), np.asarray(near, np.float32)
