"""The definition of a sensor: names and minimum effects of its readings, and the function that takes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from common.features import FloatArray
from common.modalities.video.sensors.planes import Planes


@dataclass(frozen=True)
class Sensor:
    """A group of readings that are computed together.

    Attributes
    ----------
    names : name of each reading
    minimum_effects : the smallest change of each reading that matters, in its own unit
    read : computes the readings from the planes of a frame, without keeping state
    """

    names: tuple[str, ...]
    minimum_effects: tuple[float, ...]
    read: Callable[[Planes], FloatArray]


def tile_names(family: str, grid: int) -> tuple[str, ...]:
    """Return the names of the grid x grid tiles of a family, row by row."""
    return tuple(f"{family}.{tile:02d}" for tile in range(grid * grid))


def sensor(read: Callable[[Planes], FloatArray], **minimum_effects: float) -> Sensor:
    """Return a sensor of single readings; keywords give names and minimum effects in the order of `read`'s result."""
    return Sensor(tuple(minimum_effects), tuple(minimum_effects.values()), read)


def tiled(read: Callable[[Planes], FloatArray], grid: int, **minimum_effects: float) -> Sensor:
    """Return a sensor with grid x grid readings, one per tile, for each family; a keyword per family gives its name and
    minimum effect."""
    names = tuple(name for family in minimum_effects for name in tile_names(family, grid))
    return Sensor(names, tuple(effect for effect in minimum_effects.values() for _ in range(grid * grid)), read)
