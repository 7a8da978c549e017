"""Views: a camera that was moved is found with its amount; what passes by, noise, light and moving cameras are not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from common.contracts.feature_groups import VIEW_COLUMNS, FeatureGroup, GroupKind
from common.contracts.verdicts import Cause, Judgement, Status
from common.drift.baseline import Baseline
from common.drift.conditions import fit_condition
from common.drift.fitting import fit_baseline
from common.drift.judge import judge
from common.drift.manifest import BaselineManifest
from common.drift.views import Golden, golden_columns, golden_views, view_columns
from common.errors import BadMessage
from common.features import FeatureBlock, FloatArray
from common.modalities.video.diagnosis import diagnose
from common.modalities.video.groups import VIEW_MINIMUM_EFFECTS
from tests.common.drift.footage import FEATURE_SPEC, RULE
from tests.common.drift.scene import HEIGHT, WIDTH, block, filmed, scene, seen

GROUP = FeatureGroup(name="view", kind=GroupKind.VIEW, size=2 + WIDTH * HEIGHT, minimum_effects=VIEW_MINIMUM_EFFECTS)
SCENE = scene()
STILL = seen(SCENE)
FRAMES = RULE.frames


def fitted(samples: FloatArray) -> Baseline:
    return fit_baseline(
        [("day", block(samples))], name="yard", feature_spec=FEATURE_SPEC, rule=RULE, groups=(GROUP,),
        created_at=0.0, libraries={},
    )  # fmt: skip


GOLDEN = fitted(filmed([STILL] * 200, seed=1))


def judged(samples: FloatArray, baseline: Baseline = GOLDEN) -> Judgement:
    return judge(baseline, block(samples), diagnose=diagnose)


def test_the_same_view_passes_with_other_noise_and_other_things_passing_by() -> None:
    assert judged(filmed([STILL] * FRAMES, seed=2, noise=8.0)).status is Status.PASS


@pytest.mark.parametrize(
    ("moved", "column", "amount"),
    [
        ({"right": 0.035}, "shift", 0.035),
        ({"down": -0.02}, "shift", 0.02),
        ({"right": -0.25}, "shift", 0.25),
        ({"rotation": 2.0}, "rotation", 2.0),
        ({"zoom": -0.05}, "zoom", -0.05),
    ],
)
def test_a_moved_camera_fails_and_the_verdict_says_by_how_much(
    moved: dict[str, float], column: str, amount: float
) -> None:
    verdict = judged(filmed([seen(SCENE, **moved)] * FRAMES, seed=3))
    assert (verdict.status, verdict.cause) == (Status.FAIL, Cause.CAMERA_MOVED)
    leading = verdict.leading_features[0]
    assert leading.feature == column
    assert leading.window_value == pytest.approx(amount, rel=0.15)
    assert leading.baseline_value == pytest.approx(0.0, abs=0.3 * abs(amount))


def test_what_is_hidden_in_places_fails_with_its_share() -> None:
    soiled = STILL.copy()
    rows, columns = slice(HEIGHT // 4, 3 * HEIGHT // 4), slice(WIDTH // 2, WIDTH)
    soiled[rows, columns] = soiled[rows, columns].mean()
    verdict = judged(filmed([soiled] * FRAMES, seed=3))
    assert (verdict.status, verdict.cause) == (Status.FAIL, Cause.SOILED)
    assert verdict.leading_features[0].feature == "obscured"
    assert 0.14 < verdict.leading_features[0].window_value < 0.4
    assert verdict.leading_features[0].baseline_value == pytest.approx(0.0, abs=0.02)


def test_where_golden_views_differ_in_parts_neither_golden_nor_later_footage_is_called_hidden() -> None:
    other = STILL.copy()
    other[:, 3 * WIDTH // 4 :] = seen(scene(seed=9))[:, 3 * WIDTH // 4 :]
    samples = filmed([STILL] * 30 + [other] * 30, seed=5)
    views = golden_views(samples)
    at = VIEW_COLUMNS.index("obscured")
    assert len(views) == 2
    assert not golden_columns(samples, views)[:, at].any()
    assert not view_columns(filmed([other] * 30, seed=6), Golden.of(views))[:, at].any()


@pytest.mark.parametrize("changed", [0.4 * STILL, 0.3 * STILL + 90, gaussian_filter(STILL, 1.0), 255 - STILL])
def test_light_contrast_and_blur_of_the_whole_picture_hide_nothing(changed: FloatArray) -> None:
    window = filmed([changed.astype(np.float32)] * FRAMES, seed=4)
    shifted = {row.feature: row for row in judged(window).leading_features}
    assert "obscured" not in shifted or shifted["obscured"].window_value < 0.02


@pytest.mark.parametrize(
    ("turned", "mirrored", "rotation"),
    [
        (STILL[:, ::-1], 1.0, 0.0),
        (STILL[::-1], 1.0, 180.0),
        (STILL[::-1, ::-1], 0.0, 180.0),
    ],
)
def test_a_mirrored_or_upside_down_picture_is_named(turned: FloatArray, mirrored: float, rotation: float) -> None:
    verdict = judged(filmed([turned] * FRAMES, seed=4))
    assert (verdict.status, verdict.cause) == (Status.FAIL, Cause.CAMERA_MOVED)
    found = {row.feature: row.window_value for row in verdict.leading_features}
    assert found.get("mirrored", 0.0) == mirrored
    assert abs(found.get("rotation", 0.0)) == pytest.approx(rotation, abs=0.5)


@pytest.mark.parametrize("changed", [STILL * 0.6, STILL * 0.7 + 60, STILL * np.linspace(1.1, 0.6, WIDTH)])
def test_light_fog_and_a_shadow_pass(changed: FloatArray) -> None:
    assert judged(filmed([changed] * FRAMES, seed=5)).status is Status.PASS


def test_another_scene_is_lost_and_no_amount_is_claimed() -> None:
    verdict = judged(filmed([seen(scene(7))] * FRAMES, seed=6))
    assert verdict.status is Status.FAIL
    assert [row.feature for row in verdict.leading_features] == ["lost"]


def test_a_moving_camera_has_no_view_and_never_fails_by_it() -> None:
    def panning(start: int, frames: int) -> FloatArray:
        return filmed([seen(SCENE, right=0.3 * np.sin((start + i) / 15)) for i in range(frames)], seed=start)

    moving = fitted(panning(0, 200))
    views = moving.segments[0].groups["view"].views
    assert views is not None
    assert len(views) == 0
    for start in (300, 317, 331):
        verdict = judged(panning(start, FRAMES), moving)
        assert (verdict.status, verdict.drift_score) == (Status.PASS, 0.0)


def test_a_mast_in_the_wind_may_sway_as_it_did_in_golden_footage() -> None:
    def swaying(start: int, frames: int, beside: float = 0.0) -> FloatArray:
        places = [beside + 0.02 * np.sin((start + i) / 40) for i in range(frames)]
        return filmed([seen(SCENE, right=place) for place in places], seed=start)

    baseline = fitted(swaying(0, 400))
    assert judged(swaying(500, FRAMES), baseline).status is Status.PASS
    assert judged(swaying(500, FRAMES, beside=0.15), baseline).status is Status.FAIL


def test_a_condition_allows_no_other_view_than_goldens() -> None:
    moved = block(filmed([seen(SCENE, right=0.06)] * 120, seed=8))
    condition = fit_condition("stretch", moved, GOLDEN, "day")
    assert condition.groups["view"] is GOLDEN.segments[0].groups["view"]


def test_views_are_stored_and_judge_the_same_afterwards() -> None:
    manifest = BaselineManifest.from_json(GOLDEN.to_manifest().to_json())
    again = Baseline.from_parts(manifest, GOLDEN.to_arrays())
    window = filmed([seen(SCENE, right=0.03)] * FRAMES, seed=9)
    assert again.digest == GOLDEN.digest
    assert judged(window, again) == judged(window)


def test_a_picture_of_another_shape_is_lost_and_one_that_cannot_be_is_refused() -> None:
    portrait = filmed([STILL[:, :50]] * FRAMES, seed=10)
    padded = np.pad(portrait, ((0, 0), (0, GROUP.size - portrait.shape[1])))
    assert [row.feature for row in judged(padded).leading_features] == ["lost"]
    padded[:, 0] = 200
    with pytest.raises(BadMessage, match="200 x 54 pixels"):
        judged(padded)


def test_the_compared_columns_are_in_the_order_of_their_minimum_effects() -> None:
    assert dict(zip(VIEW_COLUMNS, VIEW_MINIMUM_EFFECTS, strict=True))["rotation"] == 0.7


def test_stored_pictures_take_a_byte_per_pixel_and_come_back_as_they_were() -> None:
    window = block(filmed([STILL] * 4, seed=11))
    stored = window.to_bytes()
    assert len(stored) < 4 * GROUP.size + 1500
    np.testing.assert_array_equal(FeatureBlock.from_bytes(stored).groups["view"], window.groups["view"])
