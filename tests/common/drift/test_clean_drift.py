"""Clean drift of other cameras: the bounds, ranks and gross distances that follow from a table of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from common.contracts.clean_drift import ClipDrift, DriftTable
from common.contracts.verdicts import Status
from common.drift.baseline import Baseline
from common.drift.clean_drift import (
    EFFECT_MARGIN,
    EFFECT_QUANTILE,
    LEAST_SHARE,
    NEVER,
    CleanDrift,
    column_names,
)
from common.drift.feature_groups import compared_minimum_effects
from common.drift.fitting import fit_baseline
from common.drift.judge import distances
from common.drift.manifest import BaselineManifest
from common.errors import BadBaseline, BadCorpus
from common.modalities.video.clean_drift import clean_drift
from common.modalities.video.groups import feature_groups
from tests.common.drift.footage import FEATURE_SPEC, GROUPS, RULE, footage, judge

NAMES = column_names(GROUPS)
BY_HAND = np.concatenate([compared_minimum_effects(group) for group in GROUPS])
CAMERAS = 5


def table(windows: np.ndarray, columns: tuple[str, ...] = NAMES, own: float = 0.0) -> CleanDrift:
    """A table of cameras 0, 1, ...: `windows` is (cameras, windows, columns)."""
    clips = tuple(
        ClipDrift(camera=str(n), golden="half", own=(own,) * len(columns), windows=tuple(map(tuple, rows.tolist())))
        for n, rows in enumerate(windows)
    )
    return CleanDrift(DriftTable(columns=columns, clips=clips))


drifts = arrays(np.float64, (CAMERAS, 4, len(NAMES)), elements=st.floats(0, 4, width=16))


def with_drift(drift: CleanDrift) -> Baseline:
    return fit_baseline(
        [("golden", footage(600, seed=1))],
        name="test",
        feature_spec=FEATURE_SPEC,
        rule=RULE,
        groups=drift.applied(GROUPS),
        created_at=0.0,
        libraries={},
        clean_ratios=drift.ratios(GROUPS),
    )


@given(drifts)
def test_effects_follow_clean_footage_and_stay_near_those_set_by_hand(windows: np.ndarray) -> None:
    groups = table(windows).applied(GROUPS)
    effects = np.concatenate([group.clean_effects for group in groups])
    quantile = EFFECT_MARGIN * np.quantile(windows.reshape(-1, len(NAMES)), EFFECT_QUANTILE, axis=0)
    assert (effects >= LEAST_SHARE * BY_HAND * 0.999).all()
    assert (effects >= quantile * 0.999).all()
    assert (effects <= np.maximum(quantile, BY_HAND) * 1.001).all()
    gross = np.concatenate([group.gross_distances for group in groups])
    assert (gross >= windows.max(axis=(0, 1)) * 0.999).all(), "no clean window of the table is gross"


@given(drifts, st.integers(0, CAMERAS - 1))
def test_a_camera_has_no_part_in_the_bounds_that_its_own_ratios_are_measured_by(
    windows: np.ndarray, camera: int
) -> None:
    """However far one camera's windows went, the others' effects give their ratios."""
    drift = table(windows)
    alone = next(clip for clip in drift.table.clips if clip.camera == str(camera))
    effects = np.concatenate([group.clean_effects for group in drift.without(str(camera)).applied(GROUPS)])
    expected = (np.array(alone.windows) / effects).max(axis=1)
    found = np.array(drift.ratios(GROUPS))
    assert len(found) == CAMERAS * 4
    assert all(np.isclose(found, value, rtol=2e-3).any() for value in expected)
    assert (np.diff(found) >= 0).all()


def test_a_column_that_the_table_lacks_keeps_its_effect_and_one_that_is_gone_changes_nothing() -> None:
    windows = np.full((CAMERAS, 4, len(NAMES)), 2.0)
    lacking = table(windows[:, :, 1:], NAMES[1:])
    groups = lacking.applied(GROUPS)
    assert groups[0].clean_effects == (BY_HAND[0],)
    assert groups[0].gross_distances == (NEVER,)
    more = table(np.full((CAMERAS, 4, len(NAMES) + 1), 2.0), (*NAMES, "of_another_version"))
    assert more.applied(GROUPS) == table(windows).applied(GROUPS)
    assert more.ratios(GROUPS) == table(windows).ratios(GROUPS)


def test_a_column_that_no_clean_window_moved_keeps_its_effect() -> None:
    groups = table(np.zeros((CAMERAS, 4, len(NAMES)))).applied(GROUPS)
    assert np.allclose(np.concatenate([group.clean_effects for group in groups]), BY_HAND)


def test_a_corpus_of_one_camera_is_refused_and_says_what_to_do() -> None:
    with pytest.raises(BadCorpus, match="give clips of 4 fixed cameras or more"):
        table(np.ones((1, 4, len(NAMES))))
    with pytest.raises(BadCorpus, match="make it again"):
        CleanDrift(DriftTable(columns=NAMES[1:], clips=table(np.ones((CAMERAS, 4, len(NAMES)))).table.clips))


def test_the_p_value_is_the_rank_among_clean_windows_and_never_below_what_they_support() -> None:
    drift = table(np.random.default_rng(0).gamma(2.0, 0.05, (CAMERAS, 8, len(NAMES))))
    baseline = with_drift(drift)
    ratios = np.array(baseline.clean_ratios)
    bounds = np.concatenate([baseline.segments[0].groups[g.name].bounds.distance for g in baseline.groups])
    for noise in (0.0, 0.3, 0.6, 3.0):
        window = footage(RULE.frames, seed=9, noise=noise)
        ratio = (distances(baseline, window) / bounds).max()
        judgement = judge(baseline, window)
        assert judgement.p_value == pytest.approx((1 + (ratios >= ratio).sum()) / (len(ratios) + 1))
    assert judgement.p_value == pytest.approx(1 / 41)
    assert judgement.status is Status.FAIL and judgement.gross


def test_windows_fail_only_where_their_rank_is_significant_too() -> None:
    """With nineteen clean windows or fewer no rank is below .05, so nothing fails: it cannot be claimed."""
    window = footage(RULE.frames, seed=9, noise=3.0)
    few = with_drift(table(np.full((CAMERAS, 3, len(NAMES)), 0.01)))
    assert judge(few, window).p_value == pytest.approx(1 / 16)
    assert judge(few, window).status is Status.PASS
    assert judge(few, window, p_value=0.1).status is Status.FAIL


def test_a_baseline_that_knows_no_clean_windows_states_the_p_value_of_the_ks_test() -> None:
    plain = fit_baseline(
        [("golden", footage(600, seed=1))], name="test", feature_spec=FEATURE_SPEC, rule=RULE, groups=GROUPS,
        created_at=0.0, libraries={},
    )  # fmt: skip
    judgement = judge(plain, footage(RULE.frames, seed=9, noise=3.0))
    assert judgement.p_value == min(row.p_value for row in judgement.feature_groups)
    assert "clean" not in plain.to_manifest().to_json(), "the digests of baselines of before stay"


def test_what_a_baseline_knows_of_clean_footage_is_stored_with_it() -> None:
    baseline = with_drift(table(np.random.default_rng(0).gamma(2.0, 0.05, (CAMERAS, 8, len(NAMES)))))
    manifest = BaselineManifest.from_json(baseline.to_manifest().to_json())
    read = Baseline.from_parts(manifest, baseline.to_arrays())
    assert (read.digest, read.clean_ratios, read.groups) == (baseline.digest, baseline.clean_ratios, baseline.groups)
    broken = manifest.model_copy(
        update={"groups": (baseline.groups[0], baseline.groups[1].model_copy(update={"clean_effects": (1.0,)}))}
    )
    with pytest.raises(BadBaseline, match="rebuild it"):
        Baseline.from_parts(broken, baseline.to_arrays())


def test_the_table_that_video_ships_covers_its_columns_and_supports_p_values_below_a_hundredth() -> None:
    drift, groups = CleanDrift(clean_drift()), feature_groups(1280)
    assert set(column_names(groups)) == set(drift.table.columns)
    ratios = drift.ratios(groups)
    assert 1 / (len(ratios) + 1) < 0.01
    for camera in drift.cameras:
        assert len(drift.without(camera).cameras) == len(drift.cameras) - 1
