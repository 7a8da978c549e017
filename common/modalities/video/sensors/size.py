"""Width and height of the frame: not judged, but read, for other readings depend on the number of pixels."""

from __future__ import annotations

import numpy as np

from common.modalities.video.sensors.sensor import Sensor

SIZE = "size"
FRAME_SIZE = Sensor(
    (f"{SIZE}.00", f"{SIZE}.01"),
    (1.0, 1.0),  # pixels
    lambda planes: np.array(planes.size, np.float32),
)
