"""Zones of a picture that are left out of everything that is judged: a clock, a tree, a private window."""

from __future__ import annotations

import itertools
import math
from typing import Annotated

from pydantic import BeforeValidator

Zone = tuple[float, float, float, float]
"""x and y of the upper left corner, width and height, in shares of the picture's width and height."""

MOST_COVERED = 0.8
"""Share of the picture that zones may cover; the rest has to show what the camera does."""
_MOST_ZONES = 32
_ROUNDING = 1e-6
_NUMBERS = ("x", "y", "width", "height")
_FORM = "write [x, y, width, height] in shares of the picture, such as [0, 0, 0.3, 0.08]"


def as_zones(value: object) -> tuple[Zone, ...]:
    """Return a list of lists of four numbers, as it stands in a file, as checked zones.

    Raises
    ------
    ValueError
        If it is none, or as `check_zones` does.
    """
    if not isinstance(value, list | tuple):
        raise ValueError(f"{value!r} is no list of zones: {_FORM} for each")
    found: list[Zone] = []
    for zone in value:
        if not isinstance(zone, list | tuple) or len(zone) != len(_NUMBERS) or not all(map(_is_number, zone)):
            raise ValueError(f"{zone!r} is no zone: {_FORM}")
        x, y, width, height = map(float, zone)
        found.append((x, y, width, height))
    return check_zones(tuple(found))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_zones(zones: tuple[Zone, ...]) -> tuple[Zone, ...]:
    """Return `zones` in a fixed order.

    Raises
    ------
    ValueError
        If a zone has no area or lies beyond the picture, or if they cover too much of it; the message says what to do.

    Examples
    --------
    >>> check_zones(((0.5, 0.5, 0.1, 0.1), (0.0, 0.0, 0.3, 0.08)))
    ((0.0, 0.0, 0.3, 0.08), (0.5, 0.5, 0.1, 0.1))
    """
    if len(zones) > _MOST_ZONES:
        raise ValueError(f"{len(zones)} zones are more than {_MOST_ZONES}: join those that lie together")
    for zone in zones:
        x, y, width, height = zone
        if not all(math.isfinite(share) for share in zone) or width <= 0 or height <= 0:
            raise ValueError(f"zone {list(zone)} has no area: {_FORM}")
        if x < 0 or y < 0 or x + width > 1 + _ROUNDING or y + height > 1 + _ROUNDING:
            raise ValueError(f"zone {list(zone)} reaches beyond the picture, which is 1 wide and 1 high: {_FORM}")
    covered = covered_share(zones)
    if covered > MOST_COVERED:
        raise ValueError(
            f"the zones cover {covered:.0%} of the picture, at most {MOST_COVERED:.0%} may be ignored: "
            "what is left must show the camera; make them smaller"
        )
    return tuple(sorted(zones))


def covered_share(zones: tuple[Zone, ...]) -> float:
    """Return the share of the picture that at least one of the zones covers.

    Examples
    --------
    >>> covered_share(((0.0, 0.0, 0.5, 0.5), (0.25, 0.0, 0.5, 0.5)))
    0.375
    """
    across = sorted({0.0, 1.0, *(edge for x, _, width, _ in zones for edge in (x, x + width))})
    down = sorted({0.0, 1.0, *(edge for _, y, _, height in zones for edge in (y, y + height))})
    return sum(
        (right - left) * (bottom - top)
        for left, right in itertools.pairwise(across)
        for top, bottom in itertools.pairwise(down)
        if any(
            x <= (left + right) / 2 <= x + width and y <= (top + bottom) / 2 <= y + height
            for x, y, width, height in zones
        )
    )


def parse_zones(text: str) -> tuple[Zone, ...]:
    """Return the zones in a text of numbers, `x,y,width,height` each, separated by spaces.

    Raises
    ------
    ValueError
        If it is none.

    Examples
    --------
    >>> parse_zones("0,0,0.3,0.08 0.9,0,0.1,0.5")
    ((0.0, 0.0, 0.3, 0.08), (0.9, 0.0, 0.1, 0.5))
    """
    found: list[Zone] = []
    for written in text.split():
        try:
            x, y, width, height = (float(share) for share in written.split(","))
        except ValueError as error:
            raise ValueError(f"{written!r} is no zone: write x,y,width,height such as 0,0,0.3,0.08") from error
        found.append((x, y, width, height))
    return check_zones(tuple(found))


def zones_text(zones: tuple[Zone, ...]) -> str:
    """Return zones as `parse_zones` reads them; `no zones` if there are none."""
    return " ".join(",".join(f"{share:g}" for share in zone) for zone in zones) or "no zones"


Zones = Annotated[tuple[Zone, ...], BeforeValidator(as_zones)]
"""Zones that may be ignored together, in a fixed order."""
