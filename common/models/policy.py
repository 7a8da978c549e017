"""Applying the policy to a stretch of drifted footage: what of it may be trained on?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from common.contracts.policy import Policy
from common.contracts.verdicts import Cause
from common.drift.stretches import Stretch, without_windows
from common.errors import NothingToLearnFrom

_SHARE = 0.9  # of a stretch's windows must name the cause that it is trained for
_MISTAKEN = Cause.CAMERA_MOVED  # noise and coarse blocks may be aligned wrongly; see `parts`


def parts(stretch: Stretch, policy: Policy) -> list[Stretch]:
    """Return the parts of a stretch to which the policy is applied: all of it, or what a few odd windows leave.

    Where nothing else in it may not be trained on and a tenth of the windows or less are named `camera_moved`, no frame
    of these is in any part, and the rest is judged by itself. If the view has changed in it, `ModelKind.why_elsewhere`
    finds that on its frames.
    """
    forbidden = {cause for cause in stretch.causes if not policy.of(cause).trains}
    usual = len(stretch.causes) - stretch.causes.count(_MISTAKEN)
    if forbidden != {_MISTAKEN} or usual < _SHARE * len(stretch.causes):
        return [stretch]
    return without_windows(stretch, lambda window: window.cause is _MISTAKEN) or [stretch]


def cause_to_train(causes: Sequence[Cause], policy: Policy) -> Cause:
    """Return the cause for which a stretch may be trained on.

    Nine tenths of its windows must name one cause that may be trained on, and none a cause
    that may not: a black or covered part that rides along would become normal with it.

    Parameters
    ----------
    causes : what the judge named in each window of the stretch; at least one
    policy : what each cause calls for

    Raises
    ------
    NothingToLearnFrom
        If it may not be trained on; the message says why.
    """
    counted = Counter(causes)
    forbidden = {cause: count for cause, count in counted.items() if not policy.of(cause).trains}
    if forbidden:
        named = ", ".join(f"{cause} in {count}" for cause, count in sorted(forbidden.items()))
        raise NothingToLearnFrom(
            f"the policy trains on no footage that shows {named} of its {len(causes)} windows: look at the camera"
        )
    cause, count = counted.most_common(1)[0]
    if count < _SHARE * len(causes):
        named = ", ".join(f"{cause} {count}" for cause, count in counted.most_common())
        raise NothingToLearnFrom(
            f"its windows name different causes ({named}): to be trained on, nine tenths must name the same"
        )
    return cause
