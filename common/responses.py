"""What to tell a user to do about a FAIL, an incident, or pictures of another size."""

from __future__ import annotations

from collections.abc import Sequence

from common.contracts.policy import Policy, Response
from common.contracts.verdicts import Cause, ResolutionChange, Verdict

ADVICE = {
    Response.TRAIN: "the world changed: the model has to learn it",
    Response.CALL: "look at the camera, its light, lens, mount and encoder: the model must not learn this",
    Response.BOTH: "look at the camera, its light, lens and encoder; until then the model may learn to cope",
}

_DECAY_ADVICE = "the camera is as it was and the model is not: it is trained anew"
_TRUTH_ADVICE = (
    "the model is yours: look at what its predictions have in common that are wrong, and retrain it; a new version, "
    "named in the truth feed, gets a reference of its own"
)
_OFFLINE_ADVICE = "look at the camera, its power and its network: no footage comes"


def advice_about(cause: Cause, policy: Policy, *, of_user: bool = False) -> str:
    """Return what to do about an incident of this cause.

    Parameters
    ----------
    of_user : whether it is about a model that Sentinel cannot retrain
    """
    if of_user:
        return _TRUTH_ADVICE
    if cause is Cause.MODEL_DECAY and policy.of(cause) is Response.TRAIN:
        return _DECAY_ADVICE
    return _OFFLINE_ADVICE if cause is Cause.OFFLINE else ADVICE[policy.of(cause)]


def resolution_text(change: ResolutionChange, stream: str = "", *, learns: bool = False) -> str:
    """Return what pictures of another size mean, and what to do.

    Parameters
    ----------
    stream : that shows them; empty: a one-shot check found them
    learns : whether the stream learns by itself
    """
    what = "learn a baseline for it with `sentinel baseline build FILES --name NAME`"
    if stream and learns:
        what = f"let it learn a baseline for it anew with `sentinel streams forget {stream}`"
    elif stream:
        what += f" and `sentinel streams bind {stream} --baseline NAME`"
    return (
        f"resolution changed from {change.text}: what depends on the number of pixels, such as sharpness and noise, is "
        f"not judged; {what}"
    )


def resolution_in(windows: Sequence[Verdict]) -> tuple[str, str] | None:
    """Return how many windows of a check have pictures of another size, and what that means; None if none has."""
    changed = [window.resolution for window in windows if window.resolution is not None]
    return (f"{len(changed)} of {len(windows)} windows", resolution_text(changed[-1])) if changed else None
