"""A real worker of the queue `reduce` whose event loop can be made to hang, by the control command `hang`."""

from __future__ import annotations

import time

from celery.worker.control import control_command

from common.broker import app

__all__ = ["app"]


@control_command(args=[("seconds", float)])
def hang(state: object, seconds: float) -> None:
    time.sleep(seconds)  # control commands run in the event loop
