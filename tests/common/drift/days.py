"""Synthetic features of a camera over days: light that follows the hour, infra-red nights, weather of each day."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from common.drift.baseline import Baseline
from common.drift.bursts import DAY_SECONDS, HOUR_SECONDS, Burst
from common.drift.learning import fit_learned
from common.drift.windows import WindowRule
from common.features import FeatureBlock, TimeSource, time_source_code
from common.modalities.video.groups import AMBIENT, EMBEDDING, QUALITY, embedding_group, quality_group
from tests.common.drift.footage import FEATURE_SPEC

EFFECTS = {
    "luma": 0.08,
    "black_level": 0.05,
    "white_level": 0.06,
    "blackout": 0.05,
    "red_balance": 0.03,
    "saturation": 0.05,
    "noise": 0.4,
    "edge_peak": 0.08,
}
COLUMNS = tuple(EFFECTS)
_KNOWN = AMBIENT.model_copy(
    update={
        "steps": {name: step for name, step in AMBIENT.steps.items() if name in EFFECTS},
        "without_history": {"blackout": 0.05, "repeated": 0.9},
    }
)
GROUPS = (embedding_group(8), quality_group(COLUMNS, tuple(EFFECTS.values()), ambient=_KNOWN))
RULE = WindowRule(frames=24, stride=6)
MIDNIGHT = 19_700 * DAY_SECONDS
"""The first midnight, UTC."""
_GRAIN = {"luma": 0.01, "black_level": 0.004, "white_level": 0.005, "blackout": 0.0, "noise": 0.03}


def burst_block(day: int, hour: float, *, frames: int = RULE.frames, seed: int = 0, **changes: float) -> FeatureBlock:
    """Return the features of a burst at `hour` of `day`; `changes` are added to columns of these names."""
    rng = np.random.default_rng((seed, day, round(hour * 60), frames))
    weather = float(np.random.default_rng((seed, day)).normal(0, 0.05))
    night = not 5.5 <= hour <= 20.5
    height = 0.0 if night else math.sin(math.pi * (hour - 5) / 16)
    level = {
        "luma": 4.0 if night else 4.0 + 0.9 * height + weather,
        "black_level": 0.1,
        "white_level": 0.5 if night else 0.5 + 0.3 * height + weather / 3,
        "blackout": 0.0,
        "red_balance": 0.0 if night else 0.05 * (1 - height),
        "saturation": 0.0 if night else 0.3,
        "noise": 1.2 if night else 1.0 - 0.5 * height,
        "edge_peak": -1.0,
    }
    quality = np.empty((frames, len(COLUMNS)))
    for number, name in enumerate(COLUMNS):
        quality[:, number] = level[name] + changes.get(name, 0.0) + rng.normal(0, _GRAIN.get(name, 0.005), frames)
    quality[:, COLUMNS.index("blackout")] = changes.get("blackout", 0.0)
    times = np.arange(frames) / 1.0
    return FeatureBlock(
        {EMBEDDING: rng.normal(1.0 + night, 0.1, (frames, 8)).astype(np.float32), QUALITY: quality.astype(np.float32)},
        times,
        (f"/day{day}/{hour:05.2f}.mp4",),
        np.zeros(frames, np.int32),
        MIDNIGHT + day * DAY_SECONDS + hour * HOUR_SECONDS + times,
        np.full(frames, time_source_code(TimeSource.NAME), np.uint8),
    )


def bursts(days: Iterable[int], hours: Iterable[float] | None = None, **changes: float) -> list[Burst]:
    """Return a burst for each of `hours` (None: every hour) of each of `days`."""
    chosen = [hour + 0.1 for hour in range(24)] if hours is None else list(hours)
    return [Burst.of(burst_block(day, hour, **changes), GROUPS) for day in days for hour in chosen]


def learned(given: list[Burst], rule: WindowRule = RULE) -> Baseline:
    return fit_learned(
        given, name="days", feature_spec=FEATURE_SPEC, rule=rule, groups=GROUPS, created_at=0.0, libraries={}
    )
