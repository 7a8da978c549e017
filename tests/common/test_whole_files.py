"""Files that other processes read are written whole, and what cannot be written leaves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.whole_files import write_whole


def test_a_file_takes_the_place_of_the_one_before_and_nothing_else_is_left(tmp_path: Path) -> None:
    for data in (b"one", b"another"):
        write_whole(tmp_path / "folder" / "file", data)
        assert (tmp_path / "folder" / "file").read_bytes() == data
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["file"]


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken" / "by a folder").mkdir(parents=True)
    with pytest.raises(OSError, match="taken"):
        write_whole(tmp_path / "taken", b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
