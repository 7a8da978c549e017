"""How steep edges are: the largest step between two pixels, as a share of the edge's whole height.

A sharp edge climbs within a pixel or two whatever it belongs to, so this hardly
depends on the scene, nor on its light and contrast. Only the strongest edges
are asked: noise and compression do not reach them.
"""

from __future__ import annotations

import cv2
import numpy as np

from common.features import FloatArray
from common.modalities.video.sensors.planes import BAND, Planes
from common.modalities.video.sensors.sensor import sensor

_REACH = np.ones((9, 9), np.uint8)  # pixels around a point in which an edge climbs
_STEP_REACH = np.ones((7, 7), np.uint8)  # one less on each side: a step has two ends
_SEAM, _STRIDE = 5, 4  # neighbouring points see the same edge
_STRONGEST = 0.1  # share of the points that are asked
_FEWEST = 8  # points
_HEIGHT_OFFSET, _STEP_OFFSET = 4.0, 2.0  # grey levels: where there is no edge, the answer is one half, not noise


def _read(planes: Planes) -> FloatArray:
    grey = planes.bands
    height = cv2.subtract(cv2.dilate(grey, _REACH), cv2.erode(grey, _REACH))
    step = np.zeros_like(grey)
    step[:, :-1] = cv2.absdiff(grey[:, 1:], grey[:, :-1])
    down = np.zeros_like(grey)
    down[:-1] = cv2.absdiff(grey[1:], grey[:-1])
    down[BAND - 1 :: BAND] = 0  # from one band to the next is no step
    steepest = cv2.dilate(cv2.max(step, down), _STEP_REACH)
    heights, steps = (
        np.asarray(planes.inside(plane, _SEAM)[:, ::_STRIDE, _SEAM:-_SEAM:_STRIDE], np.float32).ravel()
        for plane in (height, steepest)
    )
    count = min(len(heights), max(_FEWEST, int(len(heights) * _STRONGEST)))
    strongest = np.argpartition(-heights, count - 1)[:count]
    steepness = np.log((steps[strongest] + _STEP_OFFSET) / (heights[strongest] + _HEIGHT_OFFSET))
    return np.quantile(steepness, (0.9, 0.5)).astype(np.float32)


# Natural logs. The steepest tenth of the edges answers to defocus first; the median answers to motion, which leaves
# the edges along it alone.
EDGES = sensor(_read, edge_peak=0.08, edge_typical=0.10)
