"""An object as a file that is read by ranges."""

from __future__ import annotations

import io
from collections import OrderedDict
from typing import TYPE_CHECKING

from common.contracts.ids import content_id
from common.object_root import ObjectStorage
from common.sources.objects.cache import BlockCache
from common.sources.objects.storage import ObjectVersion, RangeReader

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BLOCK_BYTES = 1 << 20
"""What one request reads: a few frames of video, and at 30 ms per request still 30 MB/s."""
_BLOCKS_IN_MEMORY = 4  # a demuxer goes back and forth between a few places


def cache_key(uri: str, version: ObjectVersion) -> str:
    """Return what the names of all that the cache has of one version of an object begin with."""
    return content_id(uri, version.identity)


class ObjectFile(io.RawIOBase):
    """One version of an object, opened for reading. A read fetches the blocks that it touches and no others.

    An error in reading is raised again by every later read: a demuxer may swallow one and take it for the file's end.

    Parameters
    ----------
    uri : of the object
    version : what was there when it was first looked at; a read of another one raises `BadSource`
    """

    def __init__(self, uri: str, storage: ObjectStorage, version: ObjectVersion) -> None:
        super().__init__()
        self.name = uri.rpartition("/")[2]
        self.size = version.size
        self._ranges = RangeReader(uri, storage, version)
        self._cache = BlockCache(storage.cache_dir, storage.cache_bytes)
        self._key = cache_key(uri, version)
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._position = 0
        self._failure: Exception | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise OSError("a file has no place before its beginning")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read_at(self._position, len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def read_at(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes at `offset`; fewer at the end of a block or of the object.

        Raises
        ------
        BadSource
            If the object is gone, or was rewritten.
        StorageUnavailable, SettingsError
            If the storage cannot be read.
        """
        stop = min(offset + size, self.size)
        if offset >= stop:
            return b""
        number, begin = divmod(offset, BLOCK_BYTES)
        return self._block(number)[begin : begin + stop - offset]

    def _block(self, number: int) -> bytes:
        if self._failure is not None:
            raise self._failure
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        start = number * BLOCK_BYTES
        stop = min(start + BLOCK_BYTES, self.size)
        try:
            data = self._cache.block(
                f"{self._key}-{number}",
                stop - start,
                lambda: self._ranges.read(start, stop),
            )
        except Exception as error:
            self._failure = error
            raise
        self._blocks[number] = data
        while len(self._blocks) > _BLOCKS_IN_MEMORY:
            self._blocks.popitem(last=False)
        return data
