"""What a sensor is: names, floors, and a function from a frame's planes to readings."""

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
    floors : the smallest change of each reading that matters, in its own unit
    read : from the planes of a frame to its readings; keeps no state
    """

    names: tuple[str, ...]
    floors: tuple[float, ...]
    read: Callable[[Planes], FloatArray]


def tile_names(family: str, grid: int) -> tuple[str, ...]:
    """Return the names of a family's grid x grid tiles, row by row."""
    return tuple(f"{family}.{tile:02d}" for tile in range(grid * grid))


def sensor(read: Callable[[Planes], FloatArray], **floors: float) -> Sensor:
    """Return a sensor of single readings, named with their floors in the order that `read` gives them."""
    return Sensor(tuple(floors), tuple(floors.values()), read)


def tiled(read: Callable[[Planes], FloatArray], grid: int, **floors: float) -> Sensor:
    """Return a sensor of families of tiles, named with their floors in the order that `read` gives them."""
    names = tuple(name for family in floors for name in tile_names(family, grid))
    return Sensor(names, tuple(floor for floor in floors.values() for _ in range(grid * grid)), read)
