"""When frames were taken, by what containers and EXIF data say."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import av
import pytest
from PIL import ExifTags, Image

from common.contracts.batches import SourceKind
from common.features import TimeSource
from common.modalities.video.capture_time import capture_times, exif_time
from common.modalities.video.probe import probe
from common.sources.capture_time import CaptureTimes
from common.sources.limits import Limits
from tests.footage import scene, write_clip

TAKEN = datetime(2024, 11, 24, 6, 15, 0, tzinfo=UTC).timestamp()


def times(path: Path, kind: SourceKind) -> CaptureTimes:
    return capture_times(path, probe(path, kind, Limits()), Limits())


def photograph(path: Path, taken: str | None, zone: str | None = "+00:00") -> Path:
    """Write a picture as a camera does, with the time in its EXIF data."""
    image, exif = Image.fromarray(scene(1)[0]), Image.Exif()
    if taken is not None:
        tags = exif.get_ifd(ExifTags.IFD.Exif)
        tags[ExifTags.Base.DateTimeOriginal] = taken
        if zone is not None:
            tags[ExifTags.Base.OffsetTimeOriginal] = zone
    image.save(path, exif=exif)
    return path


def retagged(clip: Path, target: Path, **tags: str) -> Path:
    """Copy a clip's packets into a container with these tags."""
    with av.open(str(clip)) as source, av.open(str(target), "w", options={"movflags": "use_metadata_tags"}) as sink:
        sink.metadata.update(tags)
        stream = sink.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                sink.mux(packet)
    return target


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_a_container_tells_when_it_was_recorded(tmp_path: Path, suffix: str) -> None:
    clip = write_clip(tmp_path / "plain.mp4", scene(30))
    dated = retagged(clip, tmp_path / f"dated{suffix}", creation_time="2024-11-24T06:15:00.000000Z")
    assert times(dated, SourceKind.RECORDING) == CaptureTimes(TAKEN, TimeSource.CONTAINER)


def test_a_container_of_1904_or_of_the_future_is_not_believed(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "plain.mp4", scene(30))
    for wrong in ("1904-01-01T00:00:00Z", "2104-01-01T00:00:00Z", "soon"):
        dated = retagged(clip, tmp_path / "dated.mp4", creation_time=wrong)
        assert times(dated, SourceKind.RECORDING).known_by is TimeSource.FILE


def test_a_clip_without_a_date_began_its_length_before_it_was_written(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "plain.mp4", scene(50), fps=25.0)
    os.utime(clip, (TAKEN, TAKEN))
    found = times(clip, SourceKind.RECORDING)
    assert found.known_by is TimeSource.FILE
    assert found.first == pytest.approx(TAKEN - 2.0, abs=0.1)
    assert found.of_frame(25, 1.0) == pytest.approx(TAKEN - 1.0, abs=0.1)


def test_a_photograph_tells_when_it_was_taken(tmp_path: Path) -> None:
    image = photograph(tmp_path / "a.jpg", "2024:11:24 07:15:00", "+01:00")
    assert times(image, SourceKind.IMAGE).first == TAKEN
    assert exif_time(image.read_bytes()) == TAKEN
    local = photograph(tmp_path / "b.jpg", "2024:11:24 07:15:00", None)
    assert exif_time(local) == datetime(2024, 11, 24, 7, 15).timestamp()


@pytest.mark.parametrize("taken", [None, "0000:00:00 00:00:00", "nonsense", "2024:11:24"])
def test_a_photograph_without_a_sound_date_goes_by_its_file(tmp_path: Path, taken: str | None) -> None:
    image = photograph(tmp_path / "a.jpg", taken)
    os.utime(image, (TAKEN, TAKEN))
    assert times(image, SourceKind.IMAGE) == CaptureTimes(TAKEN, TimeSource.FILE, (TAKEN,))


def test_a_folder_of_photographs_has_a_time_for_each(tmp_path: Path) -> None:
    for minute in range(3):
        photograph(tmp_path / f"{minute}.jpg", f"2024:11:24 06:{15 + minute}:00")
    found = times(tmp_path, SourceKind.FOLDER)
    assert (found.known_by, found.stills) == (TimeSource.EXIF, (TAKEN, TAKEN + 60, TAKEN + 120))


def test_bytes_that_are_no_image_have_no_time() -> None:
    assert exif_time(b"") is None
    assert exif_time(b"\xff\xd8\xff\xe1\x00\x10Exif\x00\x00garbage") is None
