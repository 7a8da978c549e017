"""Camera-quality sensors: numbers a frame, at native resolution, that faults move more than content does.

A classifier that looks at 224 pixels is nearly blind to noise, blur and
compression. These are not: they read the picture before it is scaled down.

To add a sensor, write one small file with a `Sensor` in it and name it in
`SENSORS` below.
"""

from __future__ import annotations

import numpy as np

from common.contracts.ids import content_id
from common.features import FloatArray
from common.modalities.video.sensors.blockiness import BLOCKINESS
from common.modalities.video.sensors.colour import COLOUR
from common.modalities.video.sensors.contrast import CONTRAST
from common.modalities.video.sensors.edges import EDGES
from common.modalities.video.sensors.flatness import FLATNESS
from common.modalities.video.sensors.layout import LAYOUT
from common.modalities.video.sensors.light import LIGHT
from common.modalities.video.sensors.noise import NOISE
from common.modalities.video.sensors.planes import Planes
from common.modalities.video.sensors.sensor import Sensor

__all__ = ["MINIMUM_EFFECTS", "SENSORS", "SENSORS_VERSION", "SENSOR_NAMES", "Planes", "Sensor", "measure"]

SENSORS: tuple[Sensor, ...] = (LIGHT, CONTRAST, COLOUR, NOISE, EDGES, BLOCKINESS, FLATNESS, LAYOUT)
SENSOR_NAMES: tuple[str, ...] = tuple(name for sensor in SENSORS for name in sensor.names)
"""One a reading. `family.07` is tile 7 of a family of readings, row by row."""
MINIMUM_EFFECTS: tuple[float, ...] = tuple(
    minimum_effect for sensor in SENSORS for minimum_effect in sensor.minimum_effects
)
"""The smallest change of each reading, in its own unit, that anybody would call a fault of the camera."""

_ARITHMETIC = 3  # raise it when a sensor's arithmetic changes under the same name
SENSORS_VERSION = f"v{_ARITHMETIC}:{content_id(*SENSOR_NAMES)[:12]}"
"""Part of a baseline's identity: another set of sensors, or other arithmetic, gives another version."""


def measure(planes: Planes) -> FloatArray:
    """Return the sensors' readings of one frame.

    Parameters
    ----------
    planes : of a frame at native resolution, each side at least 32

    Returns
    -------
    (q,) float32, in the order of `SENSOR_NAMES`; always finite
    """
    return np.concatenate([sensor.read(planes) for sensor in SENSORS]).astype(np.float32)
