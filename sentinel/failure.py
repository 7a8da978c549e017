"""What stands in place of a result where there is none."""

from __future__ import annotations

from typing import Literal

from common.contracts.ids import Message


class Failure(Message):
    """Why a command has no result: printed with `--json`, and in `status.json` of a check without a verdict."""

    status: Literal["ERROR"] = "ERROR"
    error: str
    message: str
