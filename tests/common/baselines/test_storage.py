"""Baselines on disk: whole or not at all, and never judged by if anything about them is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from common.baselines.storage import find_baseline, list_baselines, load_baseline, read_manifest
from common.errors import BadBaseline
from tests.common.baselines.small import small_baseline


def test_a_baseline_reads_back_as_it_was_saved(tmp_path: Path) -> None:
    saved = small_baseline(tmp_path / "dock")
    loaded = load_baseline(tmp_path / "dock")
    assert loaded.id == saved.id
    assert read_manifest(tmp_path / "dock").manifest == saved.baseline.to_manifest()
    assert list_baselines(tmp_path) == [tmp_path / "dock"]
    assert [path.name for path in tmp_path.iterdir()] == ["dock"], "nothing of the staging is left"


def test_saving_again_replaces_the_folder(tmp_path: Path) -> None:
    small_baseline(tmp_path / "dock")
    second = small_baseline(tmp_path / "dock", seed=2)
    assert load_baseline(tmp_path / "dock").id == second.id


def test_a_missing_baseline_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BadBaseline, match="sentinel baseline build"):
        load_baseline(tmp_path / "none")


@pytest.mark.parametrize("name", ["arrays.npz", "baseline.json"])
def test_a_baseline_with_a_file_missing_or_cut_is_refused(tmp_path: Path, name: str) -> None:
    small_baseline(tmp_path / "dock")
    path = tmp_path / "dock" / name
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BadBaseline, match=name):
        load_baseline(tmp_path / "dock")
    path.unlink()
    with pytest.raises(BadBaseline, match=name):
        load_baseline(tmp_path / "dock")


def test_an_edited_baseline_is_refused(tmp_path: Path) -> None:
    small_baseline(tmp_path / "dock")
    path = tmp_path / "dock" / "arrays.npz"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["0.quality_bound"] = arrays["0.quality_bound"] * 3
    np.savez_compressed(path, **arrays)
    with pytest.raises(BadBaseline, match="edited or damaged"):
        load_baseline(tmp_path / "dock")


def test_a_pickle_in_place_of_arrays_is_refused(tmp_path: Path) -> None:
    small_baseline(tmp_path / "dock")
    np.savez(tmp_path / "dock" / "arrays.npz", evil=np.array([{}], dtype=object))
    with pytest.raises(BadBaseline, match=r"arrays\.npz"):
        load_baseline(tmp_path / "dock")


def test_another_format_is_refused(tmp_path: Path) -> None:
    small_baseline(tmp_path / "dock")
    path = tmp_path / "dock" / "baseline.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(BadBaseline, match="format 99"):
        load_baseline(tmp_path / "dock")


def test_a_baseline_is_found_by_name_or_by_folder(tmp_path: Path) -> None:
    assert find_baseline("dock", tmp_path) == tmp_path / "dock"
    assert find_baseline("/a/dock", tmp_path) == Path("/a/dock")
    assert find_baseline("./dock", tmp_path) == tmp_path / "dock" or find_baseline("./x/dock", tmp_path) == Path(
        "x/dock"
    )


def test_a_name_that_is_too_long_for_a_file_names_no_baseline_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadBaseline, match=r"too long.*sentinel baseline list"):
        load_baseline(find_baseline("n" * 300, tmp_path))
