"""What happens in a zone to ignore is in no feature; what happens beside it is."""

from __future__ import annotations

from dataclasses import replace

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.contracts.zones import Zone, check_zones
from common.errors import BadSource
from common.features import Image
from common.modalities.video.frame import Frame
from common.modalities.video.frame_converter import FrameConverter, StillPicture
from common.modalities.video.modality import VIDEO
from common.modalities.video.sensors import SENSOR_NAMES
from common.modalities.video.zones import fill_i420
from tests.footage import scene

CLOCK: tuple[Zone, ...] = ((0.0, 0.0, 0.4, 0.15), (0.7, 0.8, 0.3, 0.2))


def noisy(image: Image, sigma: float, seed: int = 0) -> Image:
    grain = np.random.default_rng(seed).normal(0, sigma, image.shape)
    return np.clip(image + grain, 0, 255).astype(np.uint8)


def picture(width: int = 320, height: int = 192) -> Image:
    rng = np.random.default_rng(3)
    coarse = rng.uniform(60, 200, (height // 16, width // 16, 3)).astype(np.float32)
    return noisy(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), 2.0)


def scribbled(image: Image, zones: tuple[Zone, ...], seed: int) -> Image:
    """Return `image` with anything at all in the zones."""
    spoilt, rng = image.copy(), np.random.default_rng(seed)
    height, width = image.shape[:2]
    for x, y, across, down in zones:
        part = spoilt[int(y * height) : int((y + down) * height), int(x * width) : int((x + across) * width)]
        part[:] = rng.integers(0, 256, part.shape)
    return spoilt


def readings(image: Image, zones: tuple[Zone, ...]) -> dict[str, float]:
    frame = VIDEO.mask(Frame.of(image, 0, 0.0), zones) if zones else Frame.of(image, 0, 0.0)
    return dict(zip(SENSOR_NAMES, VIDEO.readings(frame)["quality"].tolist(), strict=True))


shares = st.integers(0, 19).map(lambda number: number / 20)
anywhere = st.tuples(shares, shares, shares, shares).map(
    lambda zone: (zone[0], zone[1], min(zone[2] + 0.05, 1 - zone[0]), min(zone[3] + 0.05, 1 - zone[1]))
)


@settings(max_examples=40, deadline=None)
@given(st.lists(anywhere, min_size=1, max_size=4), st.integers(0, 5))
def test_nothing_in_a_zone_reaches_sensors_or_backbone(zones: list[Zone], seed: int) -> None:
    try:
        checked = check_zones(tuple(zones))
    except ValueError:
        return  # they cover too much
    image = picture()
    one, other = (Frame.of(each, 0, 0.0).picture.without(checked) for each in (image, scribbled(image, checked, seed)))
    np.testing.assert_array_equal(one.planes().bands, other.planes().bands)
    np.testing.assert_array_equal(one.planes().points, other.planes().points)
    np.testing.assert_array_equal(one.small(96), other.small(96))


def test_a_filled_zone_looks_to_every_sensor_like_its_surroundings() -> None:
    image = picture(640, 384)
    plain, filled = readings(image, ()), readings(image, CLOCK)
    for name in ("edge_peak", "edge_typical", "blockiness", "flat_area", "luma.00", "contrast.15"):
        assert filled[name] == pytest.approx(plain[name], abs=0.15), name
    for tile in ("noise.00", "noise.15"):  # the mean of two mirror images has less noise than either
        assert plain[tile] - 0.35 < filled[tile] <= plain[tile]


def test_faults_of_the_camera_move_the_readings_as_they_do_without_zones() -> None:
    image = picture(640, 384)
    for spoilt, name in (
        (noisy(image, 12.0), "noise.00"),
        (np.asarray(cv2.GaussianBlur(image, (0, 0), 3.0)), "edge_peak"),
        ((image * 0.6).astype(np.uint8), "luma.00"),
    ):
        with_zones = readings(spoilt, CLOCK)[name] - readings(image, CLOCK)[name]
        without = readings(spoilt, ())[name] - readings(image, ())[name]
        assert with_zones == pytest.approx(without, rel=0.2), name


@pytest.mark.parametrize("pixels", ["yuv420p", "yuvj420p", "yuv444p"])
def test_decoded_frames_of_any_format_are_filled_and_stay_what_they_were(pixels: str) -> None:
    frame = av.VideoFrame.from_ndarray(picture(), format="rgb24").reformat(format=pixels)
    shown = FrameConverter().of_video(frame)
    before = shown.rgb().copy()
    filled = shown.without(CLOCK)
    assert (filled.width, filled.height) == (320, 192)
    assert np.abs(filled.small(32).astype(int) - shown.small(32)).mean() < 20
    np.testing.assert_array_equal(FrameConverter().of_video(frame).rgb(), before)


def test_the_index_and_the_time_of_a_masked_frame_stay() -> None:
    frame = replace(Frame.of(picture(), 7, 1.5))
    masked = VIDEO.mask(frame, CLOCK)
    assert (masked.index, masked.time) == (7, 1.5)


def test_a_picture_of_which_zones_leave_nothing_is_refused_with_what_to_do() -> None:
    small = StillPicture(scene(1, width=32, height=32)[0])
    small.without(((0.0, 0.0, 1.0, 0.5),))
    with pytest.raises(BadSource, match="leave nothing of a picture of 32 x 32 pixels: make them smaller"):
        small.without(((0.0, 0.0, 1.0, 0.8),))


def test_filling_leaves_no_step_at_the_border_of_a_zone() -> None:
    ramp = np.tile(np.linspace(30, 220, 320, dtype=np.float32), (192, 1))
    i420 = np.full((288, 320), 128, np.uint8)
    i420[:192] = ramp
    i420[64:128, 80:240] = 255
    fill_i420(i420, ((0.25, 1 / 3, 0.5, 1 / 3),))
    steps = np.abs(np.diff(i420[:192].astype(int), axis=1)).max(), np.abs(np.diff(i420[:192].astype(int), axis=0)).max()
    assert max(steps) <= 12, "a ramp has steps of one grey level; its mirror images differ, and are blended"


def test_a_zone_between_two_flat_sides_blends_from_one_to_the_other() -> None:
    """Left of it 50, right of it 200, and nothing above or below it."""
    i420 = np.full((96, 240), 128, np.uint8)
    i420[:64] = np.repeat(np.array([50, 0, 200], np.uint8), 80)
    fill_i420(i420, ((1 / 3, 0.0, 1 / 3, 1.0),))
    row = i420[32].astype(int)
    assert (np.diff(row) >= 0).all()
    assert (row[80], row[159]) == (pytest.approx(52, abs=1), pytest.approx(198, abs=1))
    assert abs(row[119] - 125) <= 2
