"""A folder is there whole or not at all, and what was there stays until then."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from common.whole_files import whole_folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "v1"
    for content in ("old", "new"):
        with whole_folder(folder) as staging:
            (staging / content).write_text(content)
            assert not (folder / content).exists()
    assert names(folder) == ["new"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert names(folder.parent) == ["v1"]


def test_what_was_there_stays_if_the_block_raises_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "v1") as staging:
        (staging / "old").touch()
    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "v1") as staging:
        (staging / "new").touch()
        raise KeyboardInterrupt
    assert names(tmp_path) == ["v1"] and names(tmp_path / "v1") == ["old"]


def test_what_was_there_comes_back_if_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with whole_folder(tmp_path / "v1") as staging:
        (staging / "old").touch()
    rename = Path.rename

    def no_room(path: Path, target: Path) -> Path:
        if path.name.endswith(".old") or target.name.endswith(".old"):
            return rename(path, target)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", no_room)
    with pytest.raises(OSError, match="No space"), whole_folder(tmp_path / "v1") as staging:
        (staging / "new").touch()
    assert names(tmp_path) == ["v1"] and names(tmp_path / "v1") == ["old"]
