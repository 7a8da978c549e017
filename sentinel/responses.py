"""What to tell a user to do about a FAIL."""

from __future__ import annotations

from common.contracts.policy import Response

ADVICE = {
    Response.TRAIN: "the world changed: the model has to learn it",
    Response.CALL: "look at the camera, its light, lens, mount and encoder: the model must not learn this",
    Response.BOTH: "look at the camera, its light, lens and encoder; until then the model may learn to cope",
}
