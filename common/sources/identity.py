"""The identity of a source's content, and the check that it is still the content that was accepted.

A file is identified by a digest of its content. Computing the digest of a long
video takes long, so a *version* is stored with it: size, mtime, ctime and inode.
A program that rewrites a file cannot keep all of them, so an equal version means
equal content. With another version the digests are compared, because the file may
only have been touched, or be a copy on another machine.

A recording in object storage is not read for its identity: the storage's ETag and
the size stand for its content. Its digest covers these and its URI, because an ETag
says nothing of another object. Images are identified by their content everywhere.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

from common.contracts.batches import Source, SourceKind
from common.contracts.ids import content_id
from common.errors import BadSource, Refused
from common.object_root import Root
from common.sources.limits import Limits
from common.sources.local import check_file, describe_kind, images_in, printable, source_path, unreadable
from common.sources.objects.path import ObjectPath

_DIGEST_BYTES = 16
_STEP_BYTES = 1 << 20  # read in pieces, so that a file's size does not matter
_CHECKPOINT_BYTES = 64 << 20
_TICK_SECONDS = 0.02  # file times have the resolution of the kernel's clock tick, 1 to 10 ms
_MOST_TICKS = 5  # longest wait for a file that is being written to
_DIGESTS_KEPT = 64

_Key: TypeAlias = tuple[str, str]
_digests: OrderedDict[_Key, str] = OrderedDict()
"""(path, version) -> digest of the files that were read last."""
_begun: dict[_Key, tuple[hashlib.blake2b, int]] = {}
"""(path, version) -> unfinished digest and the bytes in it, of the file whose reading was interrupted last."""


@dataclass(frozen=True)
class FileIdentity:
    """What identifies the content of a file. `size` is in bytes."""

    size: int
    digest: str
    version: str


@dataclass(frozen=True)
class ListedImage:
    """One image of a folder: its name, its size in bytes, and the digest of its content."""

    name: str
    size: int
    digest: str


def describe_source(path: Path, limits: Limits) -> Source:
    """Return kind, size and identity of the file or folder at `path`. It reads every byte and decodes nothing.

    The digest of a file depends only on its content; that of a folder, on the
    names, sizes and contents of its images.

    Raises
    ------
    BadSource
        If it is missing, empty, unreadable, too large, no video, image or folder of images, or being written to.
    """
    kind = describe_kind(path)
    if kind is SourceKind.FOLDER:
        return source_of(path, describe_listing(path, limits))
    identity = identify(path, limits)
    version = identity.version if kind is SourceKind.RECORDING else ""  # an image is always compared by its digest
    return Source(uri=printable(path), kind=kind, size=identity.size, digest=identity.digest, version=version)


def source_of(folder: Path, listing: Sequence[ListedImage]) -> Source:
    """Return the source for a folder with these images."""
    digest = content_id(*(part for image in listing for part in (image.name, image.size, image.digest)))
    return Source(
        uri=printable(folder),
        kind=SourceKind.FOLDER,
        size=sum(image.size for image in listing),
        digest=digest,
        names=tuple(image.name for image in listing),
        digests=tuple(image.digest for image in listing),
    )


def describe_listing(folder: Path, limits: Limits) -> list[ListedImage]:
    """Return the images directly in `folder`, in natural order; raise `BadSource` as `describe_source` does."""
    listing = []
    for image in images_in(folder, limits):
        printable(image)
        identity = identify(image, limits)
        listing.append(ListedImage(image.name, identity.size, identity.digest))
    return listing


def identify(path: Path, limits: Limits) -> FileIdentity:
    """Return size, digest and version of the content of the file at `path`.

    Raises
    ------
    BadSource
        If it is no valid source file, or is written to while it is read.
    """
    size = check_file(path, limits)
    if isinstance(path, ObjectPath):
        recording = describe_kind(path) is SourceKind.RECORDING
        return FileIdentity(size, _object_digest(path) if recording else digest_of(path.read_bytes()), _version(path))
    try:
        version, digest = _read_digest(path)
        return FileIdentity(path.stat().st_size, digest, version)
    except OSError as error:
        raise unreadable(path, error) from error


def file_version(path: Path) -> str:
    """Return the version of the file at `path` (size, mtime, ctime, inode; of an object, size and ETag); raise
    `BadSource` if it has no `stat`."""
    try:
        return _version(path)
    except OSError as error:
        raise unreadable(path, error) from error


def digest_of(data: bytes) -> str:
    """Return the digest of `data`, which equals that of a file with this content."""
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()


@contextmanager
def accepted(source: Source, roots: Sequence[Root]) -> Iterator[Path]:
    """Yield the path of `source` for reading, and raise if its content is not the content that was accepted.

    A recording is checked before and after the block. Images are checked by their
    reader, with `read_accepted`.

    Raises
    ------
    PathNotAllowed
        If it is outside of `roots`.
    BadSource
        If it cannot be read, or does not have the content that was accepted.
    """
    path = source_path(source.uri, roots)
    if source.kind is not SourceKind.RECORDING:
        yield path
        return
    _check_recording(path, source)
    try:
        yield path
    except Refused:
        _check_recording(path, source)  # that the file was rewritten meanwhile explains the error better
        raise
    _check_recording(path, source)


def check_accepted(source: Source, roots: Sequence[Root], limits: Limits) -> None:
    """Raise `BadSource` if `source` no longer has the content that was accepted. It may read the whole source."""
    path = source_path(source.uri, roots)
    if source.kind is SourceKind.RECORDING:
        _check_recording(path, source)
    elif source.kind is SourceKind.IMAGE:
        read_accepted(path, limits, source.digest)
    else:
        for name, digest in zip(source.names, source.digests, strict=False):  # version 0.1 kept no digests
            read_accepted(path / name, limits, digest)


def read_accepted(path: Path, limits: Limits, digest: str) -> bytes:
    """Return the content of a file; raise `BadSource` if its digest is not `digest` (empty: not checked)."""
    check_file(path, limits)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    if digest and digest_of(data) != digest:
        raise no_longer_accepted(str(path))
    return data


def no_longer_accepted(name: str) -> BadSource:
    """Return the error for a source whose content changed after it was accepted."""
    return BadSource(
        f"{name} is no longer the file that was accepted: it was rewritten or replaced since. What is there now counts "
        "by itself once it is handed in; put the former content back to have that judged with `sentinel dead retry`"
    )


def _check_recording(path: Path, source: Source) -> None:
    if file_version(path) == source.version:
        return
    try:
        if _known_digest(path) == source.digest:
            return
    except OSError as error:
        raise unreadable(path, error) from error
    raise no_longer_accepted(str(path))


def _known_digest(path: Path) -> str:
    """Return the digest of the file at `path`, read once per version of it."""
    if isinstance(path, ObjectPath):
        return _object_digest(path)
    key = (str(path), _version(path))
    if key not in _digests:
        version, digest = _read_digest(path)
        key = (str(path), version)
        _digests[key] = digest
        while len(_digests) > _DIGESTS_KEPT:
            _digests.popitem(last=False)
    return _digests[key]


def _read_digest(path: Path) -> tuple[str, str]:
    """Return version and digest of a file. A call after an interrupted one, such as by a time limit, resumes it."""
    with path.open("rb") as file:
        version = _settled_version(file)
        key = (str(path), version)
        digest, size = _begun.get(key, (hashlib.blake2b(digest_size=_DIGEST_BYTES), 0))
        digest = digest.copy()
        file.seek(size)
        while piece := file.read(_STEP_BYTES):
            digest.update(piece)
            size += len(piece)
            if size % _CHECKPOINT_BYTES == 0:
                _begun.clear()
                _begun[key] = (digest.copy(), size)
        if _version_of(os.fstat(file.fileno())) != version:
            raise BadSource(f"{path} is being written to: it is judged once it is complete and handed in again")
    _begun.pop(key, None)
    return version, digest.hexdigest()


def _settled_version(file: BinaryIO) -> str:
    """Return the version of a file, after waiting until any later write would change it.

    Two writes within one clock tick get the same times. The clock may be that of a file server.
    """
    for _ in range(_MOST_TICKS):
        seen = os.fstat(file.fileno())
        if time.time() - seen.st_ctime >= _TICK_SECONDS:
            break
        time.sleep(_TICK_SECONDS)
        if _version_of(os.fstat(file.fileno())) == _version_of(seen):
            break
    return _version_of(seen)


def _object_digest(path: ObjectPath) -> str:
    return digest_of(f"{path}\n{path.version.identity}".encode())


def _version(path: Path) -> str:
    return path.version.identity if isinstance(path, ObjectPath) else _version_of(path.stat())


def _version_of(info: os.stat_result) -> str:
    return f"{info.st_size}-{info.st_mtime_ns}-{info.st_ctime_ns}-{info.st_ino}"
