"""Baselines on disk: whole or not at all, and never judged by if anything about them is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from common.baselines import format_2, format_4, two_groups
from common.baselines.storage import (
    REPLAY_FILE,
    StoredBaseline,
    find_baseline,
    list_baselines,
    load_baseline,
    load_replay,
    read_manifest,
    save_baseline,
)
from common.drift.segment_arrays import digest_of
from common.errors import BadBaseline
from common.models.protocols import Examples
from tests.common.baselines.small import small_baseline
from tests.common.drift.days import burst_block, bursts, learned
from tests.common.drift.footage import judge


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


def test_a_baseline_with_bytes_damaged_inside_is_refused(tmp_path: Path) -> None:
    """Wherever: in the directory of the archive, in a header, or in what is compressed, which has errors of its own."""
    saved = small_baseline(tmp_path / "dock")
    path = tmp_path / "dock" / "arrays.npz"
    whole = path.read_bytes()
    refused = 0
    for start in range(0, len(whole) - 200, len(whole) // 100):
        data = bytearray(whole)
        data[start : start + 16] = bytes(byte ^ 255 for byte in data[start : start + 16])
        path.write_bytes(data)
        try:  # an archive has bytes that nobody reads
            assert load_baseline(tmp_path / "dock").baseline.digest == saved.id
        except BadBaseline:
            refused += 1
    assert refused > 90


def test_an_edited_baseline_is_refused(tmp_path: Path) -> None:
    small_baseline(tmp_path / "dock")
    path = tmp_path / "dock" / "arrays.npz"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    arrays["0.quality.bound"] = arrays["0.quality.bound"] * 3
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


REPLAY = np.random.default_rng(0).integers(0, 256, (4, 3, 6, 8, 3), dtype=np.uint8)


def with_replay(folder: Path) -> StoredBaseline:
    return save_baseline(small_baseline(folder).baseline, folder, REPLAY)


def test_golden_examples_lie_beside_a_baseline_and_are_not_part_of_what_judges(tmp_path: Path) -> None:
    alone, both = small_baseline(tmp_path / "alone"), with_replay(tmp_path / "both")
    assert both.id == alone.id, "the id is of what judges"
    replay = load_replay(tmp_path / "both")
    assert replay is not None
    assert np.array_equal(replay, REPLAY)
    assert load_replay(tmp_path / "alone") is None
    (tmp_path / "both" / REPLAY_FILE).unlink()
    assert load_baseline(tmp_path / "both").id == alone.id, "it judges without them"
    with pytest.raises(BadBaseline, match=r"replay\.npz is missing"):
        load_replay(tmp_path / "both")


def test_golden_examples_that_were_edited_or_cut_are_refused(tmp_path: Path) -> None:
    with_replay(tmp_path / "dock")
    path = tmp_path / "dock" / REPLAY_FILE
    for wrong in (REPLAY[::-1], REPLAY[:2], REPLAY.reshape(4, 3, 8, 6, 3), REPLAY.astype(np.int16)):
        np.savez_compressed(path, examples=wrong)
        with pytest.raises(BadBaseline, match="edited or damaged"):
            load_replay(tmp_path / "dock")
    np.savez(path, examples=np.array([{}], dtype=object))
    with pytest.raises(BadBaseline, match=r"replay\.npz"):
        load_replay(tmp_path / "dock")
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(BadBaseline, match=r"replay\.npz"):
        load_replay(tmp_path / "dock")


def of_then(folder: Path, replay: Examples | None = None) -> StoredBaseline:
    """Save a baseline as this version has those of 0.2 and 0.3: steps are those of the embedding, over one sample."""
    baseline = small_baseline(folder).baseline
    embedding, quality = baseline.groups
    groups = (embedding, quality.model_copy(update={"steps_of": embedding.name}))
    segments = tuple(replace(segment, interval=None) for segment in baseline.segments)
    return save_baseline(replace(baseline, groups=groups, segments=segments), folder, replay)


def as_format(number: int, folder: Path, **changes: object) -> str:
    """Write the baseline in `folder` again as version 0.2 (format 2, with replay among the arrays) or 0.3 (format 3)
    did; return its digest."""
    baseline = load_baseline(folder).baseline
    replay = json.loads((folder / "baseline.json").read_text())["replay"]
    now = {new: old for old, new in two_groups._ARRAYS.items()}
    arrays = {f"0.{now[name.removeprefix('0.')]}": array for name, array in baseline.to_arrays().items()}
    if number == 2:
        arrays["replay"] = REPLAY
    manifest = {**baseline.to_manifest().model_dump(mode="json"), **changes}
    del manifest["coverage"]
    embedding, quality = manifest.pop("groups")
    manifest["feature_spec"] = {
        name: value for name, value in manifest["feature_spec"].items() if name in format_2.FeatureSpec2.model_fields
    }
    manifest |= {
        "sensor_names": quality["columns"],
        "minimum_effects": quality["minimum_effects"],
        "embedding_size": embedding["size"],
    }
    parsed = format_2.Manifest.model_validate_json(json.dumps(manifest))
    digest = digest_of(parsed.to_json(), arrays)
    np.savez_compressed(folder / "arrays.npz", **arrays)
    file = {"format": number, "digest": digest, "manifest": json.loads(parsed.to_json())}
    if number == 3:
        file["replay"] = replay
    (folder / "baseline.json").write_text(json.dumps(file))
    return digest


def test_a_baseline_of_format_3_opens_with_its_own_digest_and_its_golden_examples(tmp_path: Path) -> None:
    new = of_then(tmp_path / "dock", REPLAY)
    digest = as_format(3, tmp_path / "dock")
    old = load_baseline(tmp_path / "dock")
    assert old.id == read_manifest(tmp_path / "dock").digest == digest
    assert old.baseline.digest == new.id, "what judges is the same"
    replay = load_replay(tmp_path / "dock")
    assert replay is not None
    assert np.array_equal(replay, REPLAY)


def as_format_4(folder: Path) -> str:
    """Write the baseline in `folder` again as early 0.4 did, which knew nothing of light; return its digest."""
    baseline = load_baseline(folder).baseline
    manifest = baseline.to_manifest().model_dump(mode="json")
    del manifest["coverage"]
    for group in manifest["groups"]:
        del group["ambient"]
    parsed = format_4.Manifest.model_validate_json(json.dumps(manifest))
    digest = digest_of(parsed.to_json(), baseline.to_arrays())
    replay = json.loads((folder / "baseline.json").read_text())["replay"]
    file = {"format": 4, "digest": digest, "manifest": json.loads(parsed.to_json()), "replay": replay}
    (folder / "baseline.json").write_text(json.dumps(file))
    return digest


def test_a_baseline_of_format_4_opens_with_its_own_digest_and_its_golden_examples(tmp_path: Path) -> None:
    new = with_replay(tmp_path / "dock")
    digest = as_format_4(tmp_path / "dock")
    old = load_baseline(tmp_path / "dock")
    assert old.id == read_manifest(tmp_path / "dock").digest == digest != new.id
    assert all(group.ambient is None for group in old.baseline.groups)
    replay = load_replay(tmp_path / "dock")
    assert replay is not None
    assert np.array_equal(replay, REPLAY)


def test_a_baseline_that_was_learned_over_days_is_stored_whole(tmp_path: Path) -> None:
    new = save_baseline(learned(bursts(range(2))), tmp_path / "days")
    old = load_baseline(tmp_path / "days")
    assert old.id == new.id
    coverage = read_manifest(tmp_path / "days").manifest.coverage
    assert coverage is not None
    assert coverage.bursts == 48
    for window in (burst_block(2, 12.3), burst_block(2, 23.3, noise=1.0)):
        assert judge(old.baseline, window) == judge(new.baseline, window)


def test_a_learned_baseline_that_was_damaged_is_refused(tmp_path: Path) -> None:
    save_baseline(learned(bursts([0])), tmp_path / "days")
    path = tmp_path / "days" / "arrays.npz"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    for name, wrong in (
        ("bursts.quality.count", arrays["bursts.quality.count"][1:]),
        ("quality.bound", arrays["quality.bound"][1:]),
        ("bursts.named", arrays["bursts.named"][:9]),
    ):
        np.savez_compressed(path, **{**arrays, name: wrong})
        with pytest.raises(BadBaseline, match="rebuild it"):
            load_baseline(tmp_path / "days")
    np.savez_compressed(path, **{name: array for name, array in arrays.items() if name != "null"})
    with pytest.raises(BadBaseline, match="lacks array"):
        load_baseline(tmp_path / "days")


def test_a_baseline_of_format_2_opens_with_its_own_digest_and_its_replay_is_refused(tmp_path: Path) -> None:
    new = of_then(tmp_path / "dock")
    digest = as_format(2, tmp_path / "dock")
    old = load_baseline(tmp_path / "dock")
    assert old.id == digest != new.id
    assert read_manifest(tmp_path / "dock").digest == digest
    assert old.baseline.digest == new.id, "what judges is the same"
    with pytest.raises(BadBaseline, match="rebuild the baseline"):
        load_replay(tmp_path / "dock")


def test_a_baseline_of_format_2_that_was_edited_is_refused(tmp_path: Path) -> None:
    of_then(tmp_path / "dock")
    as_format(2, tmp_path / "dock")
    path = tmp_path / "dock" / "arrays.npz"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez_compressed(path, **{**arrays, "replay": REPLAY[::-1]})
    with pytest.raises(BadBaseline, match="edited or damaged"):
        load_baseline(tmp_path / "dock")


def test_a_baseline_of_format_2_that_a_promotion_extended_still_opens(tmp_path: Path) -> None:
    clip = of_then(tmp_path / "dock").baseline.to_manifest().clips[0].model_dump(mode="json")
    digest = as_format(2, tmp_path / "dock", clips=[{**clip, "golden": False}])
    old = load_baseline(tmp_path / "dock")
    assert old.id == digest
    assert [segment.summary.golden for segment in old.baseline.segments] == [False]


def test_a_baseline_is_found_by_name_or_by_folder(tmp_path: Path) -> None:
    assert find_baseline("dock", tmp_path) == tmp_path / "dock"
    assert find_baseline("/a/dock", tmp_path) == Path("/a/dock")
    assert find_baseline("./dock", tmp_path) == tmp_path / "dock" or find_baseline("./x/dock", tmp_path) == Path(
        "x/dock"
    )


def test_a_name_that_is_too_long_for_a_file_names_no_baseline_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadBaseline, match=r"too long.*sentinel baseline list"):
        load_baseline(find_baseline("n" * 300, tmp_path))
