"""Camera-quality sensors: readings of each frame that respond to camera faults more than to content.

A backbone whose input is 224 pixels wide hardly responds to noise, blur and
compression. Sensors read the frame at native resolution, before it is scaled.

To add a sensor, write a module with a `Sensor` in this package and add it to
`SENSORS` below. Baselines made before then have to be rebuilt.
"""

from __future__ import annotations

import numpy as np

from common.contracts.ids import content_id
from common.features import FloatArray
from common.modalities.video.sensors.blockiness import BLOCKINESS
from common.modalities.video.sensors.colour import COLOUR
from common.modalities.video.sensors.contrast import CONTRAST
from common.modalities.video.sensors.direction import DIRECTION
from common.modalities.video.sensors.edges import EDGES
from common.modalities.video.sensors.flatness import FLATNESS
from common.modalities.video.sensors.light import LIGHT
from common.modalities.video.sensors.noise import NOISE
from common.modalities.video.sensors.packet_loss import PACKET_LOSS
from common.modalities.video.sensors.planes import Planes
from common.modalities.video.sensors.sensor import Sensor
from common.modalities.video.sensors.size import FRAME_SIZE
from common.modalities.video.vitals_columns import VITALS_COLUMNS

__all__ = ["MINIMUM_EFFECTS", "SENSORS", "SENSORS_VERSION", "SENSOR_NAMES", "Planes", "Sensor", "measure"]

SENSORS: tuple[Sensor, ...] = (
    LIGHT,
    CONTRAST,
    COLOUR,
    NOISE,
    EDGES,
    DIRECTION,
    BLOCKINESS,
    FLATNESS,
    PACKET_LOSS,
    FRAME_SIZE,
)
SENSOR_NAMES: tuple[str, ...] = tuple(name for sensor in SENSORS for name in sensor.names)
"""Name of each reading. `family.07` is tile 7, counted row by row, of a family of readings."""
MINIMUM_EFFECTS: tuple[float, ...] = tuple(
    minimum_effect for sensor in SENSORS for minimum_effect in sensor.minimum_effects
)
"""The smallest change of each reading, in its own unit, that counts as a camera fault."""

_ARITHMETIC = 6  # increase it when a sensor, or a vital, is something else under the same name
SENSORS_VERSION = f"v{_ARITHMETIC}:{content_id(*SENSOR_NAMES, *VITALS_COLUMNS)[:12]}"
"""Identifies the sensors, the vitals and their arithmetic; part of a baseline's identity."""


def measure(planes: Planes) -> FloatArray:
    """Return the sensors' readings of one frame.

    Parameters
    ----------
    planes : of a frame at native resolution, each side at least 32 pixels

    Returns
    -------
    (q,) float32, finite, in the order of `SENSOR_NAMES`
    """
    return np.concatenate([sensor.read(planes) for sensor in SENSORS]).astype(np.float32)
