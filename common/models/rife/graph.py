"""RIFE 4.0 as an OpenVINO graph: the flow network, without the refinement that its authors leave out too.

Huang, Zhang, Heng, Shi and Zhou: Real-Time Intermediate Flow Estimation for Video Frame Interpolation, ECCV 2022.
Four blocks, from an eighth of the resolution to the whole, each correct the flow from the middle frame to both
neighbours and how much of the middle frame is seen in each. The time is the middle. Two things of the original are
left out: other times, and the second pass at half the scales where both flows exceed 32 pixels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.backbones.openvino_engine import openvino
from common.errors import BadModel
from common.features import FloatArray

MULTIPLE = 32
"""Sides of the frames are multiples of this: the first block works at an eighth, and divides by four."""

DRAWN = 3
"""Images that the graph returns: both warps, and the middle frame between them."""

_SCALES = (8, 4, 2, 1)
_CONVOLUTIONS = 8  # of a block, after the two that halve the resolution
_FLOW = 4  # channels: x and y to the previous and to the next frame
_TIME = 0.5
_SLOPE = ".1.weight"  # of a PReLU
_PREFIX = "module."  # of names of a network that was trained on several GPUs
_USED = re.compile(
    r"block[0-3]\.(?:(?:conv0\.[01]|convblock\.[0-7])\.(?:0\.weight|0\.bias|1\.weight)|lastconv\.(?:weight|bias))"
)


@dataclass(frozen=True, eq=False)
class FlowWeights:
    """Weights of the four blocks, by their names in the checkpoint; other names are left out."""

    tensors: Mapping[str, FloatArray]

    @classmethod
    def of(cls, checkpoint: Mapping[str, FloatArray]) -> FlowWeights:
        """Return those in a checkpoint; raise `BadModel` unless all are there, in shapes that fit each other."""
        named = {name.removeprefix(_PREFIX): tensor for name, tensor in checkpoint.items()}
        found = cls({name: tensor for name, tensor in sorted(named.items()) if _USED.fullmatch(name)})
        found._check()
        return found

    def _check(self) -> None:
        for block in range(len(_SCALES)):
            inner = self.shape(f"block{block}.conv0.1.0.weight")[0]
            half = self.shape(f"block{block}.conv0.0.0.weight")[0]
            first = 7 if block == 0 else 12
            self._check_layer(f"block{block}.conv0.0", (half, first, 3, 3))
            self._check_layer(f"block{block}.conv0.1", (inner, half, 3, 3))
            for number in range(_CONVOLUTIONS):
                self._check_layer(f"block{block}.convblock.{number}", (inner, inner, 3, 3))
            self._check_shape(f"block{block}.lastconv.weight", (inner, _FLOW + 1, 4, 4))
            self._check_shape(f"block{block}.lastconv.bias", (_FLOW + 1,))

    def _check_layer(self, name: str, kernel: tuple[int, ...]) -> None:
        self._check_shape(f"{name}.0.weight", kernel)
        self._check_shape(f"{name}.0.bias", kernel[:1])
        self._check_shape(f"{name}{_SLOPE}", kernel[:1])

    def _check_shape(self, name: str, wanted: tuple[int, ...]) -> None:
        if self.shape(name) != wanted:
            raise BadModel(f"these are no weights of RIFE 4.0: {name} is of shape {self.shape(name)}, not {wanted}")

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor; raise `BadModel` if there is none of this name."""
        if name not in self.tensors:
            raise BadModel(f"these are no weights of RIFE 4.0: there is no {name}")
        return self.tensors[name].shape


def flow_graph(weights: FlowWeights) -> Any:
    """Return an `openvino.Model` of any height and width that are multiples of `MULTIPLE`.

    It takes the neighbours, (2, h, w, 3) uint8 RGB, and returns `DRAWN` images (3, h, w, 3) uint8: the previous frame
    as seen at the middle, the middle frame, and the next frame as seen at the middle.
    """
    return _Graph(weights).model()


class _Graph:
    """Builds the graph. Nodes are images or features (1, channels, h, w) float32, images in 0 to 1."""

    def __init__(self, weights: FlowWeights) -> None:
        openvino()
        from openvino import opset13 as ops

        self._ops: Any = ops
        self._weights = weights.tensors

    def model(self) -> Any:
        ops, ov = self._ops, openvino()
        neighbours = ops.parameter(ov.PartialShape([2, -1, -1, 3]), np.uint8, name="neighbours")
        images = ops.multiply(ops.convert(ops.transpose(neighbours, [0, 3, 1, 2]), "f32"), np.float32(1 / 255))
        previous, following = ops.split(images, 0, 2).outputs()
        places = self._places(images)
        time = ops.add(ops.multiply(self._channels(previous, 0, 1), np.float32(0)), np.float32(_TIME))
        flow, mask = self._block(0, [previous, following, time], None)
        for number in range(1, len(_SCALES)):
            warps = self._warps(previous, following, flow, places)
            more, seen = self._block(number, [*warps, time, mask], flow)
            flow, mask = ops.add(flow, more), ops.add(mask, seen)
        first, last = self._warps(previous, following, flow, places)
        share = ops.sigmoid(mask)
        middle = ops.add(last, ops.multiply(share, ops.subtract(first, last)))
        drawn = ops.transpose(ops.concat([first, middle, last], 0), [0, 2, 3, 1])
        rounded = ops.round(ops.multiply(ops.clamp(drawn, 0.0, 1.0), np.float32(255)), "half_to_even")
        return ov.Model([ops.convert(rounded, "u8")], [neighbours], "rife")

    def _block(self, number: int, seen: list[Any], flow: Any | None) -> tuple[Any, Any]:
        """Return by how much block `number` changes the flow and the mask (before its sigmoid)."""
        ops, scale = self._ops, _SCALES[number]
        parts = [self._resized(ops.concat(seen, 1), 1 / scale)]
        if flow is not None:
            parts.append(ops.multiply(self._resized(flow, 1 / scale), np.float32(1 / scale)))
        name = f"block{number}"
        start = features = self._convolved(
            self._convolved(ops.concat(parts, 1), f"{name}.conv0.0", 2), f"{name}.conv0.1", 2
        )
        for layer in range(_CONVOLUTIONS):
            features = self._convolved(features, f"{name}.convblock.{layer}", 1)
        kernel, bias = (self._weights[f"{name}.lastconv.{part}"] for part in ("weight", "bias"))
        half = ops.convolution_backprop_data(ops.add(features, start), kernel, [2, 2], None, [1, 1], [1, 1])
        out = self._resized(ops.add(half, bias.reshape(1, -1, 1, 1)), 2 * scale)
        return ops.multiply(self._channels(out, 0, _FLOW), np.float32(2 * scale)), self._channels(out, _FLOW, _FLOW + 1)

    def _convolved(self, features: Any, name: str, stride: int) -> Any:
        ops = self._ops
        kernel, bias, slope = (self._weights[f"{name}{part}"] for part in (".0.weight", ".0.bias", _SLOPE))
        out = ops.convolution(features, kernel, [stride, stride], [1, 1], [1, 1], [1, 1])
        return ops.prelu(ops.add(out, bias.reshape(1, -1, 1, 1)), slope)

    def _resized(self, features: Any, scale: float) -> Any:
        if scale == 1:
            return features
        factors = np.array([scale, scale], np.float32)
        return self._ops.interpolate(
            features,
            factors,
            "linear_onnx",
            "scales",
            coordinate_transformation_mode="half_pixel",
            axes=np.array([2, 3], np.int64),
        )

    def _warps(self, previous: Any, following: Any, flow: Any, places: tuple[Any, Any]) -> tuple[Any, Any]:
        """Return both neighbours, sampled where the flow says; beyond its edge a neighbour goes on as at the edge."""
        ops = self._ops
        grid, per_pixel = places

        def warp(image: Any, start: int) -> Any:
            moves = ops.transpose(self._channels(flow, start, start + 2), [0, 2, 3, 1])
            where = ops.add(grid, ops.multiply(moves, per_pixel))
            how = {"align_corners": True, "mode": "bilinear", "padding_mode": "border"}
            return ops.grid_sample(image, where, how)

        return warp(previous, 0), warp(following, 2)

    def _places(self, images: Any) -> tuple[Any, Any]:
        """Return where each pixel is, (1, h, w, 2) with x and y in -1 to 1, and how much a pixel is in that."""
        ops = self._ops
        shape = ops.shape_of(images, "i64")
        height, width = (ops.gather(shape, np.int64(axis), np.int64(0)) for axis in (2, 3))
        zero, one, two = np.float32(0), np.float32(1), np.float32(2)

        def along(length: Any) -> tuple[Any, Any]:
            count = ops.convert(length, "f32")
            step = ops.divide(two, ops.subtract(count, one))
            return ops.subtract(ops.multiply(ops.range(zero, count, one, "f32"), step), one), step

        (x, wide), (y, high) = along(width), along(height)
        size = ops.concat([ops.reshape(side, np.array([1]), False) for side in (height, width)], 0)
        columns = ops.broadcast(ops.unsqueeze(x, np.int64(0)), size)
        rows = ops.broadcast(ops.unsqueeze(y, np.int64(1)), size)
        grid = ops.concat([ops.unsqueeze(part, np.int64(2)) for part in (columns, rows)], 2)
        per_pixel = ops.concat([ops.reshape(part, np.array([1]), False) for part in (wide, high)], 0)
        return ops.unsqueeze(grid, np.int64(0)), per_pixel

    def _channels(self, features: Any, start: int, stop: int) -> Any:
        bounds = ([start], [stop], [1], [1])
        return self._ops.slice(features, *(np.array(bound, np.int64) for bound in bounds))
