"""Bursts as named arrays and as bytes, for storage."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from common.contracts.feature_groups import FeatureGroup, GroupKind
from common.drift.bursts import Burst, BurstGroup, Moment
from common.errors import BadMessage
from common.features import TimeSource

_WIDTHS = {GroupKind.JOINT: np.float16, GroupKind.COLUMNS: np.float32, GroupKind.VIEW: np.uint8}
AnyArray = npt.NDArray[Any]


def bursts_to_bytes(bursts: Sequence[Burst], groups: Sequence[FeatureGroup]) -> bytes:
    """Encode bursts for storage."""
    return save({name: np.ascontiguousarray(array) for name, array in burst_arrays(bursts, groups).items()})


def bursts_from_bytes(data: bytes, groups: Sequence[FeatureGroup]) -> tuple[Burst, ...]:
    """Decode what `bursts_to_bytes` returned; raise `BadMessage` for anything else, or for other groups."""
    try:
        return bursts_from_arrays(load(data), groups)
    except (SafetensorError, KeyError) as error:
        raise BadMessage(f"stored bursts cannot be read: {error}") from error


def burst_arrays(bursts: Sequence[Burst], groups: Sequence[FeatureGroup]) -> dict[str, AnyArray]:
    """Return bursts as named arrays for storage; joint groups in half precision, views in bytes."""
    arrays: dict[str, AnyArray] = {
        "taken_at": np.array([b.moment.taken_at for b in bursts], np.float64),
        "light": np.array([b.moment.light for b in bursts], np.float64),
        "infrared": np.array([b.moment.infrared for b in bursts], np.uint8),
        "frames": np.array([b.frames for b in bursts], np.int32),
        "seconds": np.array([b.seconds for b in bursts], np.float64),
        "interval": np.array([math.nan if b.interval is None else b.interval for b in bursts], np.float64),
        "named": np.frombuffer(json.dumps([[b.time_source.value, b.source] for b in bursts]).encode(), np.uint8),
    }
    for group in groups:
        parts = [burst.groups[group.name] for burst in bursts]
        width = _WIDTHS[group.kind]
        arrays[f"{group.name}.readings"] = np.concatenate([part.readings for part in parts]).astype(width)
        arrays[f"{group.name}.steps"] = np.concatenate([part.steps for part in parts]).astype(np.float32)
        arrays[f"{group.name}.count"] = np.array([len(part.readings) for part in parts], np.int32)
    return arrays


def bursts_from_arrays(arrays: Mapping[str, AnyArray], groups: Sequence[FeatureGroup]) -> tuple[Burst, ...]:
    """Return what `burst_arrays` was given; raise `KeyError` or `BadMessage` if arrays are missing or do not fit."""
    names = ("taken_at", "light", "infrared", "frames", "seconds", "interval")
    try:
        named = [
            (TimeSource(time_source), str(source)) for time_source, source in json.loads(arrays["named"].tobytes())
        ]
        by_group = {group.name: _split(group, arrays, len(named)) for group in groups}
        rows = zip(named, *(arrays[name].tolist() for name in names), strict=True)
        return tuple(
            Burst(
                Moment(float(at), float(light), bool(infrared)),
                int(frames),
                float(seconds),
                float(interval) if math.isfinite(interval) else None,
                time_source,
                source,
                {name: parts[number] for name, parts in by_group.items()},
            )
            for number, ((time_source, source), at, light, infrared, frames, seconds, interval) in enumerate(rows)
        )
    except (ValueError, TypeError, RecursionError) as error:
        raise BadMessage(f"stored bursts cannot be read: {error}") from error


def _split(group: FeatureGroup, arrays: Mapping[str, AnyArray], bursts: int) -> list[BurstGroup]:
    readings = np.asarray(arrays[f"{group.name}.readings"], np.float32)
    steps = np.asarray(arrays[f"{group.name}.steps"], np.float32)
    counts = np.asarray(arrays[f"{group.name}.count"], np.int64)
    if len(counts) != bursts or int(counts.sum()) != len(readings) or len(steps) != len(readings):
        raise BadMessage(f"stored bursts have arrays of different lengths for group {group.name!r}")
    if readings.shape[1] != group.size:
        raise BadMessage(f"stored bursts have {readings.shape[1]} columns of group {group.name!r}, not {group.size}")
    edges = np.cumsum(counts)[:-1]
    return [BurstGroup(*pair) for pair in zip(np.split(readings, edges), np.split(steps, edges), strict=True)]
