"""RIFE as the engine of an interpolation model: it draws the middle frame, DIS flow stands beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.backbones.openvino_engine import openvino
from common.errors import BadModel
from common.models.rife.graph import DRAWN, MULTIPLE
from common.models.rife.weights import RIFE_4_0, Release, find_network
from common.models.vfi.flow import Warped, warp_halfway
from common.models.vfi.tiles import tiles
from common.models.vfi.triplets import TripletArray
from common.settings import get_settings

SIDE = 1024
"""Height and width of the part of a frame that is drawn at a time, pixels; with its surroundings about 650 MB."""

CONTEXT = 128
"""Pixels around such a part that are seen with it: as far as things move between two frames."""


class RifeEngine:
    """RIFE 4.0, run by OpenVINO. The network is loaded when it is first used: do that after a fork.

    Parameters
    ----------
    release : whose weights they are
    state_dir : returns the folder in which the network is kept
    """

    further = DRAWN

    def __init__(
        self, release: Release = RIFE_4_0, state_dir: Callable[[], Path] = lambda: get_settings().state_dir
    ) -> None:
        self._release = release
        self._state_dir = state_dir

    def warp(self, triplets: TripletArray) -> Warped:
        """Return what DIS flow finds in triplets (n, 3, h, w, 3), and the three images that RIFE draws.

        They are the previous frame as seen at the middle, the middle frame, and the next frame as seen at the middle.

        Raises
        ------
        BadModel
            If the weights are not on this machine.
        """
        draw = self._draw
        drawn = np.empty((len(triplets), DRAWN, *triplets.shape[2:]), np.uint8)
        for images, triplet in zip(drawn, triplets, strict=True):
            for tile in tiles(*triplet.shape[1:3], side=SIDE, context=CONTEXT):
                here = (slice(None), *tile.read)
                images[:, *tile.place] = draw(triplet[::2][here])[:, *tile.kept]
        return replace(warp_halfway(triplets), further=drawn)

    @cached_property
    def _draw(self) -> Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]:
        """What draws images (3, h, w, 3) between neighbours (2, h, w, 3) of any size."""
        path = find_network(self._state_dir(), self._release)
        core = openvino().Core()
        # Where a processor has bf16, OpenVINO would choose it by itself: results would differ between machines.
        options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
        try:
            request = core.compile_model(core.read_model(path), "CPU", options).create_infer_request()
        except RuntimeError as error:
            raise BadModel(f"{path} does not load in OpenVINO ({error}): `sentinel models fetch rife` again") from error

        def draw(neighbours: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
            height, width = neighbours.shape[1:3]
            missing = (0, -height % MULTIPLE), (0, -width % MULTIPLE)
            padded = np.pad(neighbours, ((0, 0), *missing, (0, 0)), "edge")
            return np.array(request.infer([padded])[0][:, :height, :width], np.uint8)

        return draw
