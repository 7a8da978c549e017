"""Steepness of edges: the largest step between two neighbouring pixels, as a share of the edge's height.

A sharp edge rises within one or two pixels in any scene, so the reading hardly
depends on content, light or contrast. Only the strongest edges are used, which
noise and compression hardly affect.
"""

from __future__ import annotations

import cv2
import numpy as np

from common.features import FloatArray
from common.modalities.video.sensors.planes import Planes
from common.modalities.video.sensors.sensor import sensor

_HEIGHT_AREA = np.ones((9, 9), np.uint8)  # pixels around a point over which the height of an edge is measured
_STEP_AREA = np.ones((7, 7), np.uint8)  # for its steps: one pixel less on each side, because a step joins two pixels
_SEAM, _STRIDE = 5, 4  # pixels; every fourth point suffices, since neighbouring points measure the same edge
_STRONGEST = 0.1  # share of the points that are used, those with the highest edges
_MIN_POINTS = 8
_HEIGHT_OFFSET, _STEP_OFFSET = 4.0, 2.0  # grey levels; without any edge the ratio is one half instead of noise


def _read(planes: Planes) -> FloatArray:
    grey = planes.bands
    height = cv2.subtract(cv2.dilate(grey, _HEIGHT_AREA), cv2.erode(grey, _HEIGHT_AREA))
    step = np.zeros_like(grey)
    step[:, :-1] = planes.steps_across
    down = np.zeros_like(grey)
    down[:-1] = planes.steps_down[1:]
    steepest = cv2.dilate(cv2.max(step, down), _STEP_AREA)
    heights, steps = (
        np.asarray(planes.inside(plane, _SEAM)[:, ::_STRIDE, _SEAM:-_SEAM:_STRIDE], np.float32).ravel()
        for plane in (height, steepest)
    )
    count = min(len(heights), max(_MIN_POINTS, int(len(heights) * _STRONGEST)))
    strongest = np.argpartition(-heights, count - 1)[:count]
    steepness = np.log((steps[strongest] + _STEP_OFFSET) / (heights[strongest] + _HEIGHT_OFFSET))
    return np.quantile(steepness, (0.9, 0.5)).astype(np.float32)


# Natural logs. Defocus shows first in the steepest tenth of the edges. Motion blur shows in the median, because edges
# parallel to the motion stay sharp.
EDGES = sensor(_read, edge_peak=0.08, edge_typical=0.10)
