"""What to tell a user to do about a FAIL or an incident."""

from __future__ import annotations

from common.contracts.policy import Policy, Response
from common.contracts.verdicts import Cause

ADVICE = {
    Response.TRAIN: "the world changed: the model has to learn it",
    Response.CALL: "look at the camera, its light, lens, mount and encoder: the model must not learn this",
    Response.BOTH: "look at the camera, its light, lens and encoder; until then the model may learn to cope",
}

_OFFLINE_ADVICE = "look at the camera, its power and its network: no footage comes"


def advice_about(cause: Cause, policy: Policy) -> str:
    """Return what to do about an incident of this cause."""
    return _OFFLINE_ADVICE if cause is Cause.OFFLINE else ADVICE[policy.of(cause)]
