"""The path of an object: what takes files by their path takes it as well."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Generator
from pathlib import PosixPath
from typing import IO, Any, Self

from common.errors import BadSource
from common.object_root import ObjectStorage, check_object_uri
from common.sources.objects.cache import BlockCache
from common.sources.objects.file import ObjectFile, cache_key
from common.sources.objects.storage import ObjectVersion, object_version

_BUFFER_BYTES = 1 << 16


class ObjectPath(PosixPath):
    """An object of object storage, named by its URI, such as s3://bucket/key.

    It has a name, suffix and parent, can be asked for its `stat`, and opened for reading; it is neither a folder nor a
    link. It is about one version of the object: that which was there when it was first looked at. It pickles with
    that version, so a process that gets it reads the same content or none.

    Libraries that want the name of a file on this machine cannot have one, and are told so.
    """

    storage: ObjectStorage
    _version: ObjectVersion | None

    @classmethod
    def of(cls, uri: str, storage: ObjectStorage, version: ObjectVersion | None = None) -> Self:
        """Return the path of the object at `uri`; raise `ValueError` if it is no such URI."""
        path = cls(check_object_uri(uri))
        path.storage, path._version = storage, version
        return path

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).of, (str(self), self.storage, self._version)

    def __str__(self) -> str:
        scheme, *parts = self.parts
        return f"{scheme}//{'/'.join(parts)}"

    def __fspath__(self) -> str:
        raise BadSource(f"{self} is in object storage, and what reads such sources can only read files: put it in one")

    @property
    def version(self) -> ObjectVersion:
        """The version that was there when it was first looked at.

        Raises
        ------
        FileNotFoundError
            If there is no such object.
        StorageUnavailable, SettingsError
            If the storage cannot be asked.
        """
        if self._version is None:
            self._version = object_version(str(self), self.storage)
        return self._version

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return size, time and, in place of the inode, a number that follows from the ETag."""
        version = self.version
        number = int.from_bytes(hashlib.blake2b(version.etag.encode(), digest_size=7).digest(), "big")
        times = {"st_mtime": version.modified, "st_mtime_ns": round(version.modified * 1e9), "st_ctime_ns": 0}
        mode = stat.S_IFREG | stat.S_IRUSR
        return os.stat_result((mode, number, 0, 1, 0, 0, version.size, 0, int(version.modified), 0), times)

    def open(  # type: ignore[override]
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """Open it for reading, as bytes or text; raise `BadSource` for any other `mode`."""
        if mode not in {"r", "rt", "rb"}:
            raise BadSource(f"{self} is in object storage, and is only read")
        data = io.BufferedReader(self.by_ranges(), buffering if buffering > 1 else _BUFFER_BYTES)
        return data if mode == "rb" else io.TextIOWrapper(data, encoding, errors, newline)

    def by_ranges(self) -> ObjectFile:
        """Open it for a reader that seeks much, and takes what a read returns, even less than it asked for."""
        return ObjectFile(str(self), self.storage, self.version)

    def kept(self, name: str) -> bytes | None:
        """Return what was found out about this version of the object and kept under `name` on this host, if it is."""
        return self._cache().kept(f"{cache_key(str(self), self.version)}-{name}")

    def keep(self, name: str, data: bytes) -> None:
        """Keep what was found out about this version of the object, for this host's other processes."""
        self._cache().keep(f"{cache_key(str(self), self.version)}-{name}", data)

    def _cache(self) -> BlockCache:
        return BlockCache(self.storage.cache_dir, self.storage.cache_bytes)

    def read_bytes(self) -> bytes:
        with self.open("rb") as file:
            data: bytes = file.read()
        return data

    def exists(self, *_: object, **__: object) -> bool:
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_file(self, *_: object, **__: object) -> bool:
        return self.exists()

    def is_dir(self, *_: object, **__: object) -> bool:
        return False

    def iterdir(self) -> Generator[Self, None, None]:
        raise BadSource(f"{self} is in object storage, where there are no folders")

    def is_symlink(self) -> bool:
        return False

    def resolve(self, strict: bool = False) -> Self:
        return self

    def absolute(self) -> Self:
        return self

    def expanduser(self) -> Self:
        return self
