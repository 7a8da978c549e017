"""When a frame was taken, by names and files."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.features import TimeSource
from common.sources.capture_time import (
    CaptureTimes,
    is_plausible,
    parse_time,
    time_in_name,
    times_of_file,
    times_of_images,
)

TAKEN = datetime(2024, 11, 24, 6, 15, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "name",
    [
        "2024-11-24T06-15-00Z.mp4",
        "20241124_061500Z.jpg",
        "cam7 2024.11.24 06.15.00Z.png",
        "front-2024_11_24-07h15m00+01:00.mkv",
        "IMG_20241124061500Z.jpg",
        "1732428900.jpg",
        "1732428900000.jpg",
        "1732428900.000000-dock.jpg",
    ],
)
def test_a_name_tells_the_capture_time(name: str) -> None:
    assert time_in_name(PurePath("dock") / name) == TAKEN


def test_the_date_may_be_the_folders_and_the_time_the_files() -> None:
    assert time_in_name(PurePath("dock/2024-11-24/06-15-00Z.jpg")) == TAKEN


@pytest.mark.parametrize(
    "name",
    [
        "frame1.jpg",
        "0001.png",
        "clip.mp4",
        "12345678.jpg",
        "20241332_061500.jpg",
        "2024-02-31 06-15-00.jpg",
        "v2.1.mp4",
    ],
)
def test_a_name_that_is_no_time_tells_none(name: str) -> None:
    assert time_in_name(PurePath("dock") / name) is None


@given(
    st.datetimes(datetime(1995, 1, 1), datetime(2026, 1, 1)).map(lambda moment: moment.replace(microsecond=0)),
    st.sampled_from(["%Y-%m-%dT%H-%M-%S", "%Y%m%d_%H%M%S", "%Y.%m.%d %H.%M.%S", "%Y%m%d%H%M%S", "%Y-%m-%d_%Hh%Mm%Ss"]),
    st.integers(-12, 14),
)
def test_every_time_is_read_back_from_a_name_in_every_zone(moment: datetime, pattern: str, hours: int) -> None:
    zone = timezone(timedelta(hours=hours))
    name = moment.replace(tzinfo=zone).strftime(f"cam-{pattern}%z.jpg")
    assert time_in_name(PurePath(name)) == moment.replace(tzinfo=zone).timestamp()


@given(st.text(max_size=60))
def test_whatever_a_file_is_called_its_time_is_plausible_or_none(name: str) -> None:
    found = time_in_name(PurePath("dock") / name.replace("/", "_")) if name.replace("/", "_") else None
    assert found is None or is_plausible(found)


def test_a_time_in_the_future_or_before_cameras_is_not_believed() -> None:
    assert time_in_name(PurePath("2098-01-01_00-00-00.jpg")) is None
    assert not is_plausible(datetime(1970, 1, 2, tzinfo=UTC).timestamp())
    assert is_plausible(TAKEN, now=TAKEN - 3600), "a camera an hour ahead is one whose clock is off"
    assert not is_plausible(TAKEN, now=TAKEN - 3 * 86_400)


def test_the_container_is_believed_before_the_name_and_the_name_before_the_file(tmp_path: Path) -> None:
    plain = tmp_path / "clip.mp4"
    plain.write_bytes(b"x")
    os.utime(plain, (TAKEN, TAKEN))
    named = tmp_path / "2024-11-24T06-15-00Z.mp4"
    assert times_of_file(plain, 10.0, None) == CaptureTimes(TAKEN - 10.0, TimeSource.FILE)
    assert times_of_file(named, 10.0, None) == CaptureTimes(TAKEN, TimeSource.NAME)
    assert times_of_file(named, 10.0, TAKEN + 5) == CaptureTimes(TAKEN + 5, TimeSource.CONTAINER)


def test_a_folder_goes_by_one_clock_which_all_its_images_have(tmp_path: Path) -> None:
    images = [tmp_path / f"2024-11-24T06-15-0{second}Z.jpg" for second in range(3)]
    for number, image in enumerate(images):
        image.write_bytes(b"x")
        os.utime(image, (TAKEN + 100 * number,) * 2)
    assert times_of_images(images, [TAKEN + 7, TAKEN + 8, TAKEN + 9]).known_by is TimeSource.EXIF
    named = times_of_images(images, [TAKEN, None])
    assert (named.known_by, named.stills) == (TimeSource.NAME, (TAKEN, TAKEN + 1, TAKEN + 2))
    odd = tmp_path / "thumb.jpg"
    odd.write_bytes(b"x")
    os.utime(odd, (TAKEN + 300,) * 2)
    by_file = times_of_images([*images, odd], [None])
    assert (by_file.known_by, by_file.stills) == (TimeSource.FILE, (TAKEN, TAKEN + 100, TAKEN + 200, TAKEN + 300))
    assert by_file.of_frame(2, 99.0) == TAKEN + 200


@pytest.mark.parametrize("text", ["", "yesterday", "2024-11-24T25:00:00Z", "9" * 400])
def test_what_is_no_time_is_none(text: str) -> None:
    assert parse_time(text) is None
