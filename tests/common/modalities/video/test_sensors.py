"""The sensors: each responds to its own fault and not to others, and all readings are finite for any picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from common.features import FloatArray, Image
from common.modalities.video.frame_converter import StillPicture
from common.modalities.video.sensors import MINIMUM_EFFECTS, SENSOR_NAMES, SENSORS, SENSORS_VERSION, measure
from common.modalities.video.sensors.planes import BAND
from simulation.lens_faults import fog
from simulation.signal_faults import pixelate

FAILING = 1 / (1 - 0.30)  # in minimum effects: a larger change can fail a window at the default threshold
FAMILIES = {name.partition(".")[0] for name in SENSOR_NAMES}


def picture(seed: int = 0, size: tuple[int, int] = (320, 240)) -> Image:
    """Return a picture with sharp edges, smooth areas, colour and a little noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 170, (12, 16, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    for _ in range(40):
        x, y = int(rng.integers(size[0])), int(rng.integers(size[1]))
        cv2.rectangle(smooth, (x, y), (x + 30, y + 20), [float(v) for v in rng.integers(20, 200, 3)], -1)
    return as_image(smooth + rng.normal(0, 1, smooth.shape))


def as_image(values: np.ndarray) -> Image:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def family(image: Image, name: str) -> FloatArray:
    """Return the readings of a family of tiles, or a single reading."""
    return measure(StillPicture(image).planes())[
        [i for i, full in enumerate(SENSOR_NAMES) if full.partition(".")[0] == name]
    ]


def change(name: str, image: Image, before: Image | None = None) -> float:
    """Return the median change of a family's tiles from the clean picture, in units of their minimum effect."""
    minimum_effect = next(
        minimum_effect
        for full, minimum_effect in zip(SENSOR_NAMES, MINIMUM_EFFECTS, strict=True)
        if full.partition(".")[0] == name
    )
    return (
        float(np.median(family(image, name) - family(picture() if before is None else before, name))) / minimum_effect
    )


def noisy(sigma: float) -> Image:
    return as_image(picture() + np.random.default_rng(1).normal(0, sigma, picture().shape))


def blurred(sigma: float) -> Image:
    return np.asarray(cv2.GaussianBlur(picture(), (0, 0), sigma), np.uint8)


def compressed(quality: int) -> Image:
    _, data = cv2.imencode(".jpg", picture(), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


@pytest.mark.parametrize("sigma", [4, 8, 15])
def test_noise_raises_noise_but_not_light_or_colour(sigma: float) -> None:
    assert change("noise", noisy(sigma)) > FAILING
    for other in ("luma", "red_balance", "blue_balance", "black_level"):
        assert abs(change(other, noisy(sigma))) < 1


@pytest.mark.parametrize("sigma", [0.7, 1.2, 2.0])
def test_blur_flattens_edges_but_changes_no_light_or_colour(sigma: float) -> None:
    assert change("edge_peak", blurred(sigma)) < -FAILING
    assert change("edge_typical", blurred(sigma)) < -FAILING
    for other in ("luma", "red_balance", "white_level"):
        assert abs(change(other, blurred(sigma))) < 1


@pytest.mark.parametrize("angle", [0, 30, 45, 90, 135])
def test_a_smear_takes_detail_in_its_own_direction_alone(angle: float) -> None:
    turn = cv2.getRotationMatrix2D((4, 4), -angle, 1.0)
    level = np.zeros((9, 9), np.float32)
    level[4] = 1.0
    line = cv2.warpAffine(level, turn, (9, 9))
    grain = np.random.default_rng(4).normal(0, 60, (240, 320, 3))
    rough = as_image(120 + cv2.GaussianBlur(grain, (0, 0), 1.0))
    smeared = cv2.filter2D(rough, -1, line / line.sum())
    across, diagonal = (change(name, smeared, rough) for name in ("direction_across", "direction_diagonal"))
    # Smeared along the rows, there is less detail along them; along the falling diagonal, less along that.
    expected = -np.cos(np.radians(2 * angle)), -np.sin(np.radians(2 * angle))
    along = (across * expected[0] + diagonal * expected[1]) / np.hypot(across, diagonal)
    assert np.hypot(across, diagonal) > 1
    assert along > 0.8


@pytest.mark.parametrize("size", [(320, 240), (1920, 1080)])
def test_blur_noise_light_and_lost_columns_have_no_direction(size: tuple[int, int]) -> None:
    image = picture(2, size)
    rng = np.random.default_rng(3)
    for other in (
        cv2.GaussianBlur(image, (0, 0), 1.5),
        as_image(image + rng.normal(0, 3, image.shape)),
        as_image(image * 0.5),
        pixelate(image, 2, 0, 0),
    ):
        for name in ("direction_across", "direction_diagonal"):
            assert abs(change(name, other, image)) < FAILING


@pytest.mark.parametrize("gain", [0.2, 0.5, 0.8])
def test_edges_stay_as_steep_in_less_light(gain: float) -> None:
    assert abs(change("edge_peak", as_image(picture() * gain))) < FAILING
    assert abs(change("edge_typical", as_image(picture() * gain))) < FAILING


@pytest.mark.parametrize("quality", [50, 30, 10])
def test_compression_raises_blockiness(quality: int) -> None:
    assert change("blockiness", compressed(quality)) > FAILING


@pytest.mark.parametrize(("gain", "sign"), [(0.6, -1), (0.8, -1), (1.3, 1)])
def test_light_moves_luma(gain: float, sign: int) -> None:
    assert sign * change("luma", as_image(picture() * gain)) > FAILING


def test_over_exposure_clips() -> None:
    assert change("clipped_bright", as_image(picture() * 2.5)) > 0.2, "more than a cause is named for"


def test_a_colour_cast_moves_the_balance() -> None:
    cast = as_image(picture() * np.array([1.2, 1, 0.8]))
    assert change("red_balance", cast) > FAILING
    assert change("blue_balance", cast) < -FAILING


def test_fog_raises_the_black_level_and_lowers_contrast() -> None:
    fog = as_image(picture() * 0.5 + 100)
    assert change("black_level", fog) > FAILING
    assert change("contrast", fog) < -0.8


def test_contrast_that_is_lost_far_away_is_told_from_contrast_that_is_lost_everywhere() -> None:
    image = picture(5)
    assert change("contrast_depth", fog(image, 0.65, 0, 0), image) < -0.3
    assert abs(change("contrast_depth", as_image(image * 0.5 + 100), image)) < 0.05
    assert abs(change("contrast_depth", as_image(image * 0.5), image)) < 0.05


def test_a_covered_half_is_dark_and_flat() -> None:
    covered = picture()
    covered[:, :160] = 18
    assert change("dark_area", covered) > 4


def test_lost_packets_are_seen_from_the_first_run_of_macroblocks_on_and_other_faults_are_none() -> None:
    for colour in ((130, 130, 130), (0, 135, 0)):
        lost = picture()
        lost[64:80, 32:96] = colour
        assert change("packet_loss", lost) > FAILING
    drawn_down = noisy(8)
    drawn_down[64:96, 32:96] = drawn_down[63, 32:96]
    assert change("packet_loss", drawn_down) > FAILING
    beside_the_grid = picture()
    beside_the_grid[69:84, 37:100] = (130, 130, 130)  # a grey thing in the scene
    in_the_dark = as_image(picture() * 0.3 + np.random.default_rng(1).normal(0, 90, picture().shape))
    for other in (picture(), noisy(8), noisy(90), in_the_dark, blurred(4), compressed(15), beside_the_grid):
        assert family(other, "packet_loss").max() == 0


@pytest.mark.parametrize("side", [1.05, 1.5, 3, 8])
def test_pixelation_is_seen_from_a_few_repeated_columns_on_and_other_faults_are_none(side: float) -> None:
    assert change("pixelation", pixelate(picture(), side, 0, 0)) > FAILING
    bars = picture()
    bars[:, :60] = bars[:, -60:] = 0
    for other in (picture(), noisy(8), blurred(4), compressed(30), bars, as_image(picture() * 0.1)):
        assert change("pixelation", other) < 1


def test_only_a_frame_without_any_signal_is_a_blackout() -> None:
    assert family(np.zeros((64, 64, 3), np.uint8), "blackout")[0] == 1
    assert family(as_image(picture() * 0.2), "blackout")[0] == 0


@pytest.mark.parametrize("level", [0, 1, 128, 255])
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (240, 320), (32, 1500)])
def test_empty_pictures_give_finite_readings(level: int, size: tuple[int, int]) -> None:
    assert np.isfinite(measure(StillPicture(np.full((*size, 3), level, np.uint8)).planes())).all()


@settings(max_examples=30, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(32, 60), st.integers(32, 60), st.just(3))))
def test_any_picture_gives_finite_readings(image: Image) -> None:
    values = measure(StillPicture(image).planes())
    assert values.shape == (len(SENSOR_NAMES),) == (len(MINIMUM_EFFECTS),)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()


def test_measuring_does_not_change_the_frame_and_is_repeatable() -> None:
    image = picture()
    first = measure(StillPicture(image).planes())
    np.testing.assert_array_equal(image, picture())
    np.testing.assert_array_equal(measure(StillPicture(image).planes()), first)


@settings(max_examples=30, deadline=None)
@given(st.integers(32, 3000), st.integers(32, 5000))
def test_bands_are_aligned_with_the_encoders_blocks_and_stay_inside_the_frame(height: int, width: int) -> None:
    image = np.broadcast_to((np.arange(height) % 8 * 20).astype(np.uint8)[:, None, None], (height, width, 3))
    planes = StillPicture(image).planes()
    assert planes.bands.shape == (planes.count * BAND, width // 2 * 2)
    rows = np.tile(np.arange(8) * 20, planes.count * BAND // 8)
    np.testing.assert_allclose(planes.bands[:, 0].astype(int), rows, atol=1)  # coding has 219 steps for 255 levels
    assert planes.bands.size <= max(500_000, BAND * width)


@pytest.mark.parametrize("size", [(320, 240), (640, 360), (1920, 1080)])
def test_planes_agree_with_the_rgb_picture(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(60, 200, (9, 12, 3), dtype=np.uint8), size, interpolation=cv2.INTER_LINEAR)
    planes = StillPicture(image).planes()
    step = round(image.shape[0] / planes.points.shape[0])
    picked = image[step // 2 :: step, step // 2 :: step]
    off = planes.points.astype(int) - picked
    assert np.abs(off).max() <= 12, "a pixel shares its colour with three neighbours"
    assert np.abs(off.mean(axis=(0, 1))).max() < 0.6 and off.std() < 4.0, "and there is no bias"
    assert np.abs(planes.luma.astype(int) - cv2.cvtColor(picked, cv2.COLOR_RGB2GRAY)).max() <= 3


def test_a_large_frame_reads_like_a_small_part_of_the_same_texture() -> None:
    large = picture(size=(2560, 1440))
    grain = np.random.default_rng(0).normal(0, 6, large.shape)
    assert abs(change("noise", as_image(large + grain), before=as_image(large[:480, :640] + grain[:480, :640]))) < 0.5


def test_names_are_unique_and_the_version_follows_from_them() -> None:
    assert len(set(SENSOR_NAMES)) == len(SENSOR_NAMES)
    assert {"luma", "noise", "edge_peak", "blockiness", "contrast"} <= FAMILIES
    assert sum(len(sensor.names) for sensor in SENSORS) == len(SENSOR_NAMES)
    assert SENSORS_VERSION.startswith("v")


def by_definition(image: Image) -> dict[str, float]:
    """Return noise, flatness and blockiness computed directly from their definitions, over the whole frame."""
    coded = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420)[: image.shape[0]].astype(np.float64)
    luma = np.clip(np.rint((coded - 16) * 255 / 219), 0, 255).astype(np.float32)
    height, width = luma.shape
    bands = luma[: height // 32 * 32].reshape(-1, 32, width)
    across, down = (np.minimum(np.abs(np.diff(bands, axis=axis)), 12.0) for axis in (2, 1))

    def excess(profile: np.ndarray) -> float:
        beyond = profile[1:-1] - (profile[:-2] + profile[2:]) / 2
        border = np.arange(1, len(profile) - 1) % 8 == 7
        return float((beyond[border].mean() - beyond[~border].mean()) / (profile.mean() + 0.2))

    tiles = bands[:, :, : width // 16 * 16].reshape(len(bands), 2, 16, -1, 16)
    spread = tiles.std(axis=(2, 4))
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    response = np.abs(cv2.filter2D(bands.reshape(-1, width), cv2.CV_32F, mask)).reshape(bands.shape)[:, 4:-4]
    blocks = response[:, :, : width // 8 * 8].reshape(len(bands), 3, 8, -1, 8).mean(axis=(2, 4))
    calm = np.quantile(np.array_split(blocks[: len(bands) // 4], 4, axis=2)[0], 0.25)
    return {
        "blockiness": (excess(across.mean(axis=(0, 1))) + excess(down.mean(axis=(0, 2)))) / 2,
        "flat_area": float((spread < 0.7).mean()),
        "noise.00": float(np.log(calm / (6 * 0.7979) + 0.5)),
    }


@pytest.mark.parametrize("seed", range(4))
def test_fast_arithmetic_agrees_with_the_definitions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (16, 24, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (384, 256), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    image = np.clip(image + rng.normal(0, seed, image.shape).astype(np.int16), 0, 255).astype(np.uint8)
    found = dict(zip(SENSOR_NAMES, measure(StillPicture(image).planes()).tolist(), strict=True))
    for name, value in by_definition(image).items():
        minimum_effect = MINIMUM_EFFECTS[SENSOR_NAMES.index(name)]
        assert found[name] == pytest.approx(value, abs=1e-4 * minimum_effect), name
