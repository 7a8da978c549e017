"""Which content a source has, and whether it still has the content that was accepted.

A file is identified by a digest of its content. Reading a long video for its
digest takes long, so beside it stands a *version*: what the file system says of
the file (size, time of the last write, time of the last change, number). No
program can rewrite a file and keep all of them. An equal version therefore means
equal content; another one means that the digest has to be compared, because the
file may just have been touched, or lie on another machine.
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
from common.sources.local import Limits, check_file, describe_kind, images_in, local_path, printable, unreadable

_DIGEST_BYTES = 16
_STEP_BYTES = 1 << 20  # read in pieces, so that a file's size does not matter
_CHECKPOINT_BYTES = 64 << 20
_TICK_SECONDS = 0.02  # file systems tell times apart by the kernel's clock tick, 1 to 10 ms
_MOST_TICKS = 5  # waited for, of a file that is being written to
_DIGESTS_KEPT = 64

_Key: TypeAlias = tuple[str, str]
_digests: OrderedDict[_Key, str] = OrderedDict()
"""(path, version) -> digest, of files that were read for it; the latest ones."""
_begun: dict[_Key, tuple[hashlib.blake2b, int]] = {}
"""(path, version) -> digest so far and how many bytes are in it, of the file whose reading was interrupted last."""


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
    """Return kind, size and identity of the file or folder at `path`. Reads every byte, decodes nothing.

    The digest of a file depends on its content alone; that of a folder on
    names, sizes and contents of its images.

    Raises
    ------
    BadSource
        If it is missing, empty, unreadable, too large, no video, image or folder of images, or written to meanwhile.
    """
    kind = describe_kind(path)
    if kind is SourceKind.FOLDER:
        return source_of(path, describe_listing(path, limits))
    identity = identify(path, limits)
    version = identity.version if kind is SourceKind.VIDEO else ""  # an image is read whole anyway
    return Source(uri=printable(path), kind=kind, size=identity.size, digest=identity.digest, version=version)


def source_of(folder: Path, listing: Sequence[ListedImage]) -> Source:
    """Return the source that a folder with these images is. Its digest depends on their names, sizes and contents."""
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
    """Return the images right in `folder`, in natural order; raise `BadSource` as `describe_source` does."""
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
        If it cannot be a source, or is written to while it is read.
    """
    check_file(path, limits)
    try:
        version, digest = _read_digest(path)
        return FileIdentity(path.stat().st_size, digest, version)
    except OSError as error:
        raise unreadable(path, error) from error


def file_version(path: Path) -> str:
    """Return what the file system says of the content of `path`; raise `BadSource` if it is not to be read."""
    try:
        return _version(path.stat())
    except OSError as error:
        raise unreadable(path, error) from error


def digest_of(data: bytes) -> str:
    """Return the digest of a content held in memory, equal to that of a file which holds it."""
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()


@contextmanager
def accepted(source: Source, roots: Sequence[Path]) -> Iterator[Path]:
    """Yield the path of `source` to be read, and refuse what was read if it is no longer what was accepted.

    A video is compared before and after. Images are compared as they are read,
    by whoever reads them, with `Source.digests` (see `read_accepted`).

    Raises
    ------
    PathNotAllowed
        If it lies outside of `roots`.
    BadSource
        If it cannot be read, or its content is another than the one that was accepted.
    """
    path = local_path(source.uri, roots)
    if source.kind is not SourceKind.VIDEO:
        yield path
        return
    _check_video(path, source)
    try:
        yield path
    except Refused:
        _check_video(path, source)  # a file that was rewritten meanwhile explains whatever was met in it
        raise
    _check_video(path, source)


def check_accepted(source: Source, roots: Sequence[Path], limits: Limits) -> None:
    """Raise `BadSource` if `source` no longer has the content that was accepted. May read all of it."""
    path = local_path(source.uri, roots)
    if source.kind is SourceKind.VIDEO:
        _check_video(path, source)
    elif source.kind is SourceKind.IMAGE:
        read_accepted(path, limits, source.digest)
    else:
        for name, digest in zip(source.names, source.digests, strict=False):  # version 0.1 kept no digests
            read_accepted(path / name, limits, digest)


def read_accepted(path: Path, limits: Limits, digest: str) -> bytes:
    """Return the content of a file; raise `BadSource` if it has not this `digest` (empty: any will do)."""
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


def _check_video(path: Path, source: Source) -> None:
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
    key = (str(path), _version(path.stat()))
    if key not in _digests:
        version, digest = _read_digest(path)
        key = (str(path), version)
        _digests[key] = digest
        while len(_digests) > _DIGESTS_KEPT:
            _digests.popitem(last=False)
    return _digests[key]


def _read_digest(path: Path) -> tuple[str, str]:
    """Return version and digest of a file. A reading that is interrupted by a time limit goes on where it was."""
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
        if _version(os.fstat(file.fileno())) != version:
            raise BadSource(f"{path} is being written to: it is judged once it is complete and handed in again")
    _begun.pop(key, None)
    return version, digest.hexdigest()


def _settled_version(file: BinaryIO) -> str:
    """Return the version of a file, waiting until a later write is sure to change it.

    Two writes within one tick of the clock have the same times. The clock may be another machine's.
    """
    for _ in range(_MOST_TICKS):
        seen = os.fstat(file.fileno())
        if time.time() - seen.st_ctime >= _TICK_SECONDS:
            break
        time.sleep(_TICK_SECONDS)
        if _version(os.fstat(file.fileno())) == _version(seen):
            break
    return _version(seen)


def _version(info: os.stat_result) -> str:
    return f"{info.st_size}-{info.st_mtime_ns}-{info.st_ctime_ns}-{info.st_ino}"
