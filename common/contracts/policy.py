"""The policy: what each cause of a FAIL calls for. One table, and one setting that changes rows of it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from common.contracts.verdicts import Cause


class Response(StrEnum):
    """What a cause calls for."""

    TRAIN = "train"
    """The model is trained on the footage, or proved on it."""
    CALL = "call"
    """A person is asked to look at the camera; the model is never trained on the footage."""
    BOTH = "both"
    """The model is trained, and a person is asked to look at the camera."""

    @property
    def trains(self) -> bool:
        return self is not Response.CALL

    @property
    def calls(self) -> bool:
        return self is not Response.TRAIN


DEFAULT: Mapping[Cause, Response] = {
    Cause.NOISE: Response.BOTH,
    Cause.BLUR: Response.BOTH,
    Cause.MOTION_BLUR: Response.BOTH,
    Cause.LOW_LIGHT: Response.BOTH,
    Cause.COMPRESSION: Response.BOTH,
    Cause.COLOUR_CAST: Response.BOTH,
    Cause.LOW_CONTRAST: Response.BOTH,
    Cause.FOG: Response.BOTH,
    Cause.PIXELATION: Response.BOTH,
    Cause.NEW_CONTENT: Response.TRAIN,
    Cause.MODEL_DECAY: Response.TRAIN,
    # A model that has learned these would make the judge blind to a camera that shows nothing, or something else.
    Cause.BLACK: Response.CALL,
    Cause.FROZEN: Response.CALL,
    Cause.COVERED: Response.CALL,
    Cause.SOILED: Response.CALL,
    Cause.CAMERA_MOVED: Response.CALL,
    Cause.OVER_EXPOSURE: Response.CALL,
    # What is lost, and light that jumps, cannot be learned from the frames around.
    Cause.PACKET_LOSS: Response.CALL,
    Cause.FLICKER: Response.CALL,
    Cause.BANDING: Response.CALL,
    Cause.HUNTING_EXPOSURE: Response.CALL,
    Cause.MISSING_FRAMES: Response.CALL,
    Cause.ENCODER: Response.CALL,
    Cause.UNKNOWN: Response.CALL,
    Cause.OFFLINE: Response.CALL,
}

_WITHOUT_FOOTAGE = frozenset({Cause.OFFLINE})


@dataclass(frozen=True)
class Policy:
    """The table with the rows that the setting changed; there is a response for every cause."""

    responses: Mapping[Cause, Response] = field(default_factory=lambda: DEFAULT)

    def of(self, cause: Cause) -> Response:
        return self.responses[cause]

    @classmethod
    def parse(cls, text: str) -> Policy:
        """Return the default policy with the rows in `text`, like `unknown=train, noise=call`.

        Raises
        ------
        ValueError
            If a cause or a response has no such name (the message offers the nearest), or there can be no footage of
            a cause that is to be trained on.
        """
        rows = dict(DEFAULT)
        for part in filter(None, (part.strip() for part in text.split(","))):
            cause, separator, response = (piece.strip() for piece in part.partition("="))
            if not separator:
                raise ValueError(f"{part!r} is no row of the policy: write CAUSE=RESPONSE, like unknown=train")
            named, wanted = Cause(_known(cause, list(Cause))), Response(_known(response, list(Response)))
            if named in _WITHOUT_FOOTAGE and wanted.trains:
                raise ValueError(
                    f"'{named}={wanted}' cannot be: no footage comes that a model could be trained on; "
                    f"the only response is {named}={Response.CALL}"
                )
            rows[named] = wanted
        return cls(rows)


def _known(name: str, names: list[Cause] | list[Response]) -> str:
    if name in names:
        return name
    close = difflib.get_close_matches(name, names, n=1)
    raise ValueError(f"{name!r} is none of {', '.join(names)}" + (f": is {str(close[0])!r} meant?" if close else ""))
