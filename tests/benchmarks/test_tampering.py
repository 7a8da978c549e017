"""The list of films in which a camera is tampered with: what it may hold, and what is said of what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.tampering import Film, read_films
from common.errors import SettingsError

HEADER = "film,begins,until"


def listing(folder: Path, *lines: str) -> Path:
    path = folder / "films.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    (folder / "turned.mp4").touch()
    return path


def test_a_film_has_frames_where_tampering_begins_and_judging_ends_or_neither(tmp_path: Path) -> None:
    path = listing(tmp_path, HEADER, "turned.mp4,83,167", "", "turned.mp4, ,")
    turned = tmp_path / "turned.mp4"
    assert read_films(path, tmp_path) == [Film(turned, 83, 167), Film(turned, None, None)]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ((), "has to begin with"),
        (("turned.mp4,83,167",), "has to begin with"),
        ((HEADER, "turned.mp4,83"), "line 2: give a film and two frames"),
        ((HEADER, "../turned.mp4,83,"), "line 2: .* holds no film"),
        ((HEADER, "other\x1b[2J.mp4,83,"), r"line 2: .* holds no film 'other[^\x1b]*'"),
        ((HEADER, "turned.mp4,-1,"), "line 2: '-1' is no number of a frame"),
        ((HEADER, f"turned.mp4,{'9' * 5000},"), "is no number of a frame"),
        ((HEADER, "turned.mp4,83,83"), "has to end after frame 83"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_line(
    tmp_path: Path, lines: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(SettingsError, match=reason):
        read_films(listing(tmp_path, *lines), tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * 500_000])
def test_a_file_that_is_no_list_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "films.csv"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_films(path, tmp_path)
    path.write_bytes(b"\n" * 1_000_001)
    with pytest.raises(SettingsError, match="larger than"):
        read_films(path, tmp_path)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_films(tmp_path, tmp_path)
