"""Whether footage moves as footage does: its neighbours predict a frame better than distant frames do."""

from __future__ import annotations

import numpy as np

from common.features import FloatArray
from common.models.bounds import lower_bound, mean
from common.models.vfi.triplets import DISTANT, SurroundingsArray

_FEWEST = 8  # surroundings; fewer say nothing
_NO_ERROR = 1e-6  # squared grey levels
_PART = 16  # surroundings that are looked at together: long enough for a mean, short enough to be seen
_ORDERED_RATIO = 1.2  # of the errors in a part; less than of the whole, because fast motion can be in it
_LEAST_RATIO = 1.5  # of the errors; real footage of five cameras has at least 1.8, also under the heaviest noise


def why_unfit(surroundings: SurroundingsArray) -> str | None:
    """Return why footage must not be trained on; None if it moves.

    The mean squared error of the average of distant frames must surely, by the
    lower 95% bound over the triplets, be 1.5 times that of the average of the
    neighbours. It is not for frozen and black footage, random pixels, shuffled
    frames, and stills shown in random order. No part of it may be like that either,
    where its neighbours predict it worse than they do elsewhere: the rest would
    hide it in the mean. (Quiet moments are predicted better.)

    Parameters
    ----------
    surroundings : (n, 5, h, w, 3) uint8, as `triplets.collect` returns them
    """
    if len(surroundings) < _FEWEST:
        return f"only {len(surroundings)} triplets have frames {DISTANT} before and after them: too short to tell"
    distant, near = errors(surroundings)
    if lower_bound(distant - _LEAST_RATIO * near) <= 0.0:
        ratio = mean(distant) / max(mean(near), _NO_ERROR)
        return (
            f"its frames are predicted no better by their neighbours than by frames {DISTANT} away (squared errors "
            f"1 : {ratio:.2f}, surely 1 : {_LEAST_RATIO} is needed): nothing can be learned from it"
        )
    if (part := _disordered_part(distant, near)) is not None:
        return (
            f"from frame {part} of the {len(near)} that were looked at, they are predicted no better by their "
            f"neighbours than by frames {DISTANT} away, and worse than elsewhere: something else rides along, such as "
            "frames out of order"
        )
    return None


def _disordered_part(distant: FloatArray, near: FloatArray) -> int | None:
    """Return the number of the first triplet of a part whose neighbours predict it as badly as distant frames do."""
    parts = np.array_split(np.arange(len(near)), max(len(near) // _PART, 1))
    nears, distants = (np.array([errors[part].mean() for part in parts]) for errors in (near, distant))
    much = (np.median(nears) + np.median(distants)) / 2.0
    found = np.flatnonzero((nears > much) & (distants < _ORDERED_RATIO * nears))
    return int(parts[found[0]][0]) if len(found) else None


def errors(surroundings: SurroundingsArray) -> tuple[FloatArray, FloatArray]:
    """Return the mean squared errors (n,) of two predictions of each middle frame, in squared grey levels.

    The first is the average of the two distant frames, the second that of the two neighbours.
    """
    frames = surroundings.astype(np.float32)
    differences = [(frames[:, i] + frames[:, -1 - i]) / 2.0 - frames[:, 2] for i in (0, 1)]
    distant, near = (np.mean(np.square(difference), axis=(1, 2, 3)) for difference in differences)
    return np.asarray(distant, np.float32), np.asarray(near, np.float32)
