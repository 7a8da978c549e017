"""Baselines: what they store, what they refuse, and how tiles become columns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.contracts.feature_groups import MOTION, REPEATED
from common.contracts.verdicts import Cause, Status
from common.drift.baseline import Baseline
from common.drift.feature_groups import compared_columns, compared_minimum_effects, compared_names
from common.drift.fitting import fit_baseline
from common.drift.manifest import BaselineManifest
from common.errors import BadBaseline
from common.features import FeatureBlock
from common.modalities.video.groups import embedding_group, quality_group
from tests.common.drift.footage import FEATURE_SPEC, RULE, changed, footage, judge

TILES = 16
NAMES = ("luma", *(f"noise.{tile:02d}" for tile in range(TILES)), *(f"contrast.{tile:02d}" for tile in range(TILES)))
MINIMUM_EFFECTS = (0.04, *[0.25] * TILES, *[0.6] * TILES)
GROUPS = (embedding_group(32), quality_group(NAMES, MINIMUM_EFFECTS))
QUALITY = GROUPS[1]


def tiled(frames: int, seed: int, noise: np.ndarray | float = 0.0) -> FeatureBlock:
    """Return footage with tiles of two families; `noise` is added to those of the first."""
    plain = footage(frames, seed=seed)
    rng = np.random.default_rng(0)  # the same scene in all footage
    reference_median = rng.uniform(-1, 1, 2 * TILES)
    grain = np.random.default_rng(seed + 1).normal(0, 0.03, (frames, 2 * TILES))
    readings = reference_median + grain
    readings[:, :TILES] += noise
    return changed(plain, quality=np.column_stack([plain.groups["quality"][:, :1], readings]).astype(np.float32))


def tiled_baseline() -> Baseline:
    return fit_baseline(
        [("day", tiled(300, seed=1))],
        name="tiles",
        feature_spec=FEATURE_SPEC,
        rule=RULE,
        groups=GROUPS,
        created_at=0.0,
        libraries={"numpy": "2"},
    )


def test_a_family_of_tiles_is_one_column_and_single_readings_stay_as_they_are() -> None:
    assert compared_names(QUALITY) == ("luma", "noise", "contrast", MOTION, REPEATED)
    np.testing.assert_allclose(compared_minimum_effects(QUALITY)[:3], [0.04, 0.25, 0.6])
    assert tiled_baseline().widths == {"embedding": 32, "quality": len(NAMES)}


def test_names_that_look_like_tiles_are_columns_of_their_own_unless_the_group_says_so() -> None:
    plain = QUALITY.model_copy(update={"tiles": {}, "steps_of": None})
    assert compared_names(plain) == NAMES
    readings = np.random.default_rng(1).normal(size=(5, len(NAMES))).astype(np.float32)
    nothing = np.zeros((5, 0), np.float32)
    np.testing.assert_array_equal(compared_columns(plain, readings, nothing, readings[0]), readings)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, TILES // 2 - 1), st.floats(-5, 5))
def test_an_object_in_a_few_tiles_hardly_changes_their_column(tiles: int, by: float) -> None:
    reference_median = np.zeros(len(NAMES), np.float32)
    readings = np.random.default_rng(tiles).normal(0, 0.01, (5, len(NAMES))).astype(np.float32)
    touched = readings.copy()
    touched[:, 1 : 1 + tiles] += np.float32(by)
    between = np.zeros((5, 2), np.float32)
    before, after = (compared_columns(QUALITY, r, between, reference_median) for r in (readings, touched))
    assert np.abs(after - before)[:, 1].max() < 0.05


def test_a_fault_in_all_tiles_fails_and_one_in_a_few_passes() -> None:
    baseline = tiled_baseline()
    assert judge(baseline, tiled(RULE.frames, seed=50)).status is Status.PASS
    passing_by = np.where(np.arange(TILES) < 5, 2.0, 0.0)
    assert judge(baseline, tiled(RULE.frames, seed=51, noise=passing_by)).status is Status.PASS
    verdict = judge(baseline, tiled(RULE.frames, seed=52, noise=1.0))
    assert (verdict.status, verdict.cause) == (Status.FAIL, Cause.NOISE)


def test_a_repeated_frame_is_diagnosed_as_frozen() -> None:
    window = tiled(RULE.frames, seed=55)
    stuck = changed(
        window,
        embedding=np.repeat(window.groups["embedding"][:1], RULE.frames, axis=0),
        quality=np.repeat(window.groups["quality"][:1], RULE.frames, axis=0),
    )
    verdict = judge(tiled_baseline(), stuck)
    assert (verdict.status, verdict.cause) == (Status.FAIL, Cause.FROZEN)


def test_a_baseline_with_tiles_survives_storage() -> None:
    baseline = tiled_baseline()
    manifest = BaselineManifest.from_json(baseline.to_manifest().to_json())
    again = Baseline.from_parts(manifest, baseline.to_arrays())
    assert again.digest == baseline.digest
    window = tiled(RULE.frames, seed=56, noise=1.0)
    assert judge(again, window) == judge(baseline, window)


def test_a_baseline_whose_arrays_do_not_fit_its_sensors_is_refused() -> None:
    baseline = tiled_baseline()
    manifest, arrays = baseline.to_manifest(), baseline.to_arrays()
    arrays["0.quality.median"] = arrays["0.quality.median"][:-1]
    with pytest.raises(BadBaseline, match="another shape"):
        Baseline.from_parts(manifest, arrays)
    with pytest.raises(BadBaseline, match="covers no clip"):
        Baseline.from_parts(manifest.model_copy(update={"clips": ()}), {})
