"""What to tell a user to do about a FAIL."""

from __future__ import annotations

from common.contracts.verdicts import Remedy

REMEDIES = {
    Remedy.CAMERA: "the data went bad: look at the camera, its light, lens, mount and encoder",
    Remedy.TRAINING: "the world changed: the model has to learn it",
}
