"""Arrays in a damaged file: read as they were, or refused with one kind of error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from common.errors import BadMessage
from common.npz import read_npz

ARRAYS = {"a": np.arange(500.0), "b": np.zeros((3, 4), np.uint8), "c": np.ones(0, np.int32)}


def test_arrays_come_back_by_their_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **ARRAYS)  # type: ignore[arg-type]
    read = read_npz(tmp_path / "x.npz")
    assert {name: (array.dtype, array.tolist()) for name, array in read.items()} == {
        name: (array.dtype, array.tolist()) for name, array in ARRAYS.items()
    }


def test_a_file_that_is_not_there_is_an_error_of_the_file_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_npz(tmp_path / "x.npz")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(compressed=True, place=0.99609375, change=b"\x05", cut=False)  # the directory is said to begin before the file
@given(st.booleans(), st.floats(0, 1, exclude_max=True), st.binary(max_size=8), st.booleans())
def test_whatever_bytes_were_changed_the_file_is_read_or_refused(
    tmp_path: Path, compressed: bool, place: float, change: bytes, cut: bool
) -> None:
    """A changed byte may break the directory, the compression, the header of an array, or nothing that is read."""
    path = tmp_path / "x.npz"
    (np.savez_compressed if compressed else np.savez)(path, **ARRAYS)  # type: ignore[arg-type]
    data = bytearray(path.read_bytes())
    start = int(place * len(data))
    data[start : start + len(change)] = change
    path.write_bytes(data[: start + len(change)] if cut else data)
    try:
        read_npz(path)
    except BadMessage as error:
        assert "x.npz is damaged" in str(error)
