"""Conditions on disk: what was saved is what is read, whatever was edited is refused, and a process goes on without."""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.contracts.conditions import ConditionRecord
from common.drift.conditions import fit_condition
from common.drift.segment import Segment
from common.drift.segment_arrays import segment_arrays
from common.errors import BadModel
from common.models import conditions
from common.models.conditions import ConditionCache, load_condition, load_examples, load_replay, save_condition
from common.models.protocols import Examples
from tests.common.builders import condition_record
from tests.common.drift.footage import fitted, footage

BASELINE = fitted(footage(600, seed=1))
FILES = ("condition.json", "segment.npz", "examples.npz", "replay.npz")


def segment(seed: int = 50) -> Segment:
    return fit_condition("noise@0", footage(200, seed=seed, noise=1.5), BASELINE, "clip0")


def triplets(count: int = 10, *, seed: int = 0) -> Examples:
    """Neighbouring triplets of one clip: example i is of the frames i, i + 1 and i + 2."""
    frames = np.random.default_rng(seed).integers(0, 256, (count + 2, 36, 64, 3), np.uint8)
    return np.stack([frames[i : i + 3] for i in range(count)])


def saved(folder: Path, name: str = "a", *, seed: int = 0) -> ConditionRecord:
    digest = save_condition(folder, segment(50 + seed), triplets(seed=seed), triplets(4, seed=100 + seed))
    return condition_record(name, path=str(folder), digest=digest)


def test_what_was_saved_is_what_is_read(tmp_path: Path) -> None:
    record = saved(tmp_path / "conditions" / "vfi" / "a")
    read, before = load_condition(record), segment()
    assert read.record == record
    assert read.segment.summary == before.summary
    for name, array in segment_arrays(before, "").items():
        np.testing.assert_array_equal(segment_arrays(read.segment, "")[name], array)
    np.testing.assert_array_equal(load_examples(record), triplets())
    np.testing.assert_array_equal(load_replay(record), triplets(4, seed=100))
    assert sorted(path.name for path in Path(record.path).iterdir()) == sorted(FILES)
    assert list(Path(record.path).parent.iterdir()) == [Path(record.path)], "nothing is left beside it"


def test_a_condition_that_is_saved_again_replaces_the_one_before(tmp_path: Path) -> None:
    """Proved afresh, it has new footage; a record of the old footage then no longer fits."""
    old, new = saved(tmp_path / "a"), saved(tmp_path / "a", seed=1)
    assert old.digest != new.digest
    assert load_condition(new).segment.summary == segment(51).summary
    with pytest.raises(BadModel, match="not what was saved"):
        load_condition(old)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=8),
    st.integers(1, 5),
    st.integers(1, 5),
)
def test_examples_come_back_as_they_were_and_each_frame_is_stored_once(
    tmp_path: Path, numbers: list[list[int]], height: int, width: int
) -> None:
    """The law: neighbouring examples share frames, and equal frames are one, wherever they stand."""
    frames = np.random.default_rng(1).integers(0, 256, (5, height, width, 3), np.uint8)
    examples = frames[np.array(numbers)]
    folder = tmp_path / "a"
    record = condition_record(path=str(folder), digest=save_condition(folder, segment(), examples))
    np.testing.assert_array_equal(load_examples(record), examples)
    with np.load(folder / "examples.npz") as packed:
        assert len(packed["frames"]) == len({frames[i].tobytes() for row in numbers for i in row})


def test_the_digest_depends_on_everything_that_is_stored_and_on_nothing_else(tmp_path: Path) -> None:
    first, same, other = saved(tmp_path / "a"), saved(tmp_path / "b"), saved(tmp_path / "c", seed=1)
    assert first.digest == same.digest != other.digest
    less = save_condition(tmp_path / "d", segment(), triplets(9), triplets(4, seed=100))
    none = save_condition(tmp_path / "e", segment(), triplets())
    assert len({first.digest, other.digest, less, none}) == 4


def test_a_condition_of_before_that_keeps_nothing_to_train_on_opens(tmp_path: Path) -> None:
    record = condition_record(path=str(tmp_path / "a"), digest=save_condition(tmp_path / "a", segment(), triplets()))
    stored = json.loads((tmp_path / "a" / "condition.json").read_text())
    assert stored.pop("replay") is None
    (tmp_path / "a" / "condition.json").write_text(json.dumps(stored))  # as it was written then
    assert load_condition(record).record == record
    assert len(load_examples(record)) == 10
    assert load_replay(record) is None


def test_a_condition_that_is_there_already_is_left_alone_and_a_damaged_one_is_written_anew(tmp_path: Path) -> None:
    """Whoever is killed while it is saved again has not lost the one that the champion names."""
    record = saved(tmp_path / "a")
    before = (tmp_path / "a").stat().st_ino
    assert saved(tmp_path / "a") == record
    assert (tmp_path / "a").stat().st_ino == before
    (tmp_path / "a" / "replay.npz").write_bytes(b"")
    assert saved(tmp_path / "a") == record
    assert load_replay(record) is not None


READERS = {"segment.npz": load_condition, "examples.npz": load_examples, "replay.npz": load_replay}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("harm", ["gone", "empty", "cut", "garbage", "another"])
def test_a_file_that_is_gone_or_was_changed_is_refused_with_what_follows(tmp_path: Path, file: str, harm: str) -> None:
    record, other = saved(tmp_path / "a"), saved(tmp_path / "b", seed=1)
    path = Path(record.path) / file
    if harm == "gone":
        path.unlink()
    elif harm == "another":
        path.write_bytes((Path(other.path) / file).read_bytes())
    else:
        data = path.read_bytes()
        path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "garbage": os.urandom(500)}[harm])
    for load in [READERS[file]] if file in READERS else READERS.values():
        with pytest.raises(BadModel, match=rf"condition {record.id[:12]} of stream 'dock' .*restore the folder"):
            load(record)


def test_a_condition_without_its_examples_is_none_and_the_judge_does_not_read_them(tmp_path: Path) -> None:
    record = saved(tmp_path / "a")
    path = Path(record.path) / "examples.npz"
    path.write_bytes(b"not read")
    assert load_condition(record).record == record
    path.unlink()
    with pytest.raises(BadModel, match="no model can be proved on it again"):
        load_condition(record)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(FILES), st.floats(0, 1, exclude_max=True), st.integers(0, 255))
def test_a_condition_with_any_byte_changed_is_the_same_or_refused(
    tmp_path: Path, file: str, place: float, value: int
) -> None:
    record = saved(tmp_path / "a")
    path = Path(record.path) / file
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] = value
    path.write_bytes(data)
    with suppress(BadModel):
        np.testing.assert_array_equal(load_examples(record), triplets())
    with suppress(BadModel):
        read = segment_arrays(load_condition(record).segment, "")
        for name, array in segment_arrays(segment(), "").items():
            np.testing.assert_array_equal(read[name], array)


def test_a_widened_bound_is_refused_though_the_file_is_whole(tmp_path: Path) -> None:
    """What somebody would edit to make the judge blind."""
    record = saved(tmp_path / "a")
    path = Path(record.path) / "segment.npz"
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez_compressed(path, **{**arrays, "quality.bound": arrays["quality.bound"] * 2})  # type: ignore[arg-type]
    with pytest.raises(BadModel, match="not what was saved"):
        load_condition(record)


@pytest.mark.parametrize(
    "edit", [{"format": 2}, {"segment": "0" * 32}, {"examples": "0" * 32}, {"summary": None}, {"more": 1}]
)
def test_an_edited_description_is_refused(tmp_path: Path, edit: dict[str, object]) -> None:
    record = saved(tmp_path / "a")
    path = Path(record.path) / "condition.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **edit}))
    with pytest.raises(BadModel, match="missing or damaged"):
        load_condition(record)


def test_an_array_that_would_run_code_is_not_loaded(tmp_path: Path) -> None:
    record = saved(tmp_path / "a")
    np.savez(Path(record.path) / "examples.npz", frames=np.array([{}], object), index=np.zeros((1, 3), np.int32))
    with pytest.raises(BadModel, match="missing or damaged"):
        load_examples(record)


def test_a_condition_that_cannot_be_written_leaves_what_stood_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = saved(tmp_path / "a")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(conditions.np, "savez", full)
    with pytest.raises(BadModel, match=r"cannot be written.*No space left on device; free space"):
        save_condition(tmp_path / "a", segment(51), triplets(seed=1))
    assert load_condition(record).record == record
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_process_loads_each_condition_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def counting(record: ConditionRecord) -> conditions.Condition:
        loaded.append(record.id)
        return load_condition(record)

    monkeypatch.setattr(conditions, "load_condition", counting)
    cache = ConditionCache()
    first, second = saved(tmp_path / "a"), saved(tmp_path / "b", "b", seed=1)
    for _ in range(3):
        assert [row.record for row in cache.of((first, second))] == [first, second]
    assert loaded == [first.id, second.id]
    renewed = first.model_copy(update={"expires": 5.0})
    assert [row.record for row in cache.of((renewed,))] == [renewed], "the record of now, with the footage in memory"
    again = saved(tmp_path / "a", seed=2)
    assert cache.of((again,))[0].segment.summary == segment(52).summary, "new footage is loaded"
    assert loaded == [first.id, second.id, first.id]


def test_a_damaged_condition_is_left_out_and_tried_again_after_a_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole, broken = saved(tmp_path / "a"), saved(tmp_path / "b", "b", seed=1)
    (tmp_path / "b").rename(tmp_path / "away")
    patient, eager = ConditionCache(), ConditionCache(again_after=0.0)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert [row.record for row in patient.of((broken, whole))] == [whole]
    assert len(caplog.records) == 1, "it is not read anew for each window"
    assert broken.id[:12] in caplog.text
    assert [row.record for row in eager.of((broken, whole))] == [whole]
    (tmp_path / "away").rename(tmp_path / "b")
    assert [row.record for row in patient.of((broken, whole))] == [whole]
    assert [row.record for row in eager.of((broken, whole))] == [broken, whole]


def test_a_process_keeps_a_bounded_number_of_conditions_those_that_it_used_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []

    def counting(record: ConditionRecord) -> conditions.Condition:
        loaded.append(record.id)
        return load_condition(record)

    monkeypatch.setattr(conditions, "load_condition", counting)
    cache = ConditionCache(most=2)
    a, b, c = (saved(tmp_path / name, name, seed=number) for number, name in enumerate("abc"))
    assert [row.record for row in cache.of((a, b, a, c, a))] == [a, b, a, c, a], "all, though not all are kept"
    assert loaded == [a.id, b.id, c.id]
    cache.of((b,))
    assert loaded == [a.id, b.id, c.id, b.id], "b was not used for longest"
