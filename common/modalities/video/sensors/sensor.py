"""What a sensor is: names, minimum effects, and a function from a frame's planes to readings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from common.features import FloatArray
from common.modalities.video.sensors.planes import Planes


@dataclass(frozen=True)
class Sensor:
    """A group of readings that are taken together.

    Attributes
    ----------
    names : one a reading
    minimum_effects : the smallest change of each reading that matters, in its own unit
    read : from the planes of a frame to its readings; keeps no state
    """

    names: tuple[str, ...]
    minimum_effects: tuple[float, ...]
    read: Callable[[Planes], FloatArray]


def tile_names(family: str, grid: int) -> tuple[str, ...]:
    """Return the names of a family's grid x grid tiles, row by row."""
    return tuple(f"{family}.{tile:02d}" for tile in range(grid * grid))


def sensor(read: Callable[[Planes], FloatArray], **minimum_effects: float) -> Sensor:
    """Return a sensor of single readings, named with their minimum effects in the order that `read` gives them."""
    return Sensor(tuple(minimum_effects), tuple(minimum_effects.values()), read)


def tiled(read: Callable[[Planes], FloatArray], grid: int, **minimum_effects: float) -> Sensor:
    """Return a sensor of families of tiles, named with their minimum effects in the order that `read` gives them."""
    names = tuple(name for family in minimum_effects for name in tile_names(family, grid))
    return Sensor(
        names, tuple(minimum_effect for minimum_effect in minimum_effects.values() for _ in range(grid * grid)), read
    )
