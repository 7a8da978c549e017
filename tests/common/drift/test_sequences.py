"""Columns made from the sequence of samples: what all tiles do at once counts, an object that passes does not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.contracts.feature_groups import (
    FeatureGroup,
    GroupKind,
    SequenceColumn,
    SequenceSummary,
    TileSummary,
)
from common.drift.feature_groups import compared_columns, compared_minimum_effects, compared_names
from common.drift.sequences import sequence_columns

TILES = 16
FRAMES = np.arange(48)
GROUP = FeatureGroup(
    name="quality",
    kind=GroupKind.COLUMNS,
    size=TILES + 1,
    columns=("black", *(f"row.{tile:02d}" for tile in range(TILES))),
    minimum_effects=(0.1,) * (TILES + 1),
    tiles={"row": TileSummary.NONE},
    sequences={
        str(summary): SequenceColumn(family="row", summary=summary, minimum_effect=0.01) for summary in SequenceSummary
    },
)
Floats = npt.NDArray[np.float32]


def of(light: Floats) -> dict[str, Floats]:
    """Return the columns of samples whose tiles are `light`, (n, TILES) or (n, 1)."""
    readings = np.hstack([np.ones((len(light), 1)), np.broadcast_to(light, (len(light), TILES))]).astype(np.float32)
    return dict(zip(GROUP.sequences, sequence_columns(GROUP, readings).T, strict=True))


def test_they_follow_the_other_columns_and_a_family_that_is_only_read_for_them_is_none() -> None:
    assert compared_names(GROUP) == ("black", "step", "uneven_step", "swing")
    np.testing.assert_allclose(compared_minimum_effects(GROUP), [0.1, 0.01, 0.01, 0.01])
    readings = np.random.default_rng(0).normal(size=(48, TILES + 1)).astype(np.float32)
    between = sequence_columns(GROUP, readings)
    columns = compared_columns(GROUP, readings, between, readings[0])
    np.testing.assert_array_equal(columns, np.hstack([readings[:, :1], between]))


@given(st.floats(-3, 3), st.integers(0, 60))
@settings(max_examples=25, deadline=None)
def test_steady_light_of_any_strength_gives_nothing(level: float, count: int) -> None:
    light = np.full((count, TILES), level, np.float32)
    assert all(not column.any() and len(column) == count for column in of(light).values())


@given(st.integers(1, TILES // 2 - 1), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_what_passes_through_fewer_than_half_of_the_tiles_gives_nothing(tiles: int, seed: int) -> None:
    light = np.zeros((48, TILES), np.float32)
    light[:, :tiles] = np.random.default_rng(seed).normal(0, 1, (48, tiles))
    assert all(column.max() == pytest.approx(0, abs=1e-6) for column in of(light).values())


def test_light_that_jumps_steps_farther_than_it_swings_and_light_that_swings_slowly_does_not() -> None:
    jumping = of(0.1 * np.sin(2 * np.pi * 0.37 * FRAMES)[:, None].astype(np.float32))
    swinging = of(0.1 * np.sin(2 * np.pi * FRAMES / 21)[:, None].astype(np.float32))
    assert jumping["step"].mean() > 1.5 * jumping["swing"].mean() > 0.05
    assert swinging["swing"].mean() > 2 * swinging["step"].mean() > 0
    assert max(jumping["uneven_step"].max(), swinging["uneven_step"].max()) < 1e-6


def test_bands_that_roll_step_unevenly() -> None:
    down = np.arange(TILES) / TILES
    bands = of(0.1 * np.sin(2 * np.pi * (3.3 * down[None] + 0.27 * FRAMES[:, None])).astype(np.float32))
    assert bands["uneven_step"].mean() > 3 * bands["step"].mean()
