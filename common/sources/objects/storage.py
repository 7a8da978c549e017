"""Object storage by fsspec: what an object is now, a range of its bytes, and what lies below a prefix.

Each file system (s3fs, gcsfs) is an extra of the package. It takes credentials from the environment or its own files;
no message here quotes what it says, which may show them.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from common.errors import BadSource, SettingsError, StorageUnavailable
from common.object_root import ObjectStorage
from common.sources.capture_time import parse_time

_MODULES = {"s3": "s3fs", "gs": "gcsfs"}
"""The file system of each scheme; the extra that installs it is named like the scheme."""
_CONNECT_SECONDS, _READ_SECONDS = 4, 8
_REFUSED = frozenset((401, 403))  # the codes of gcsfs's errors
_ATTEMPTS = 2  # of one request; whoever asked tries again later, and others must not wait for that long
_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ~/.aws",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
}
# At DEBUG these log the headers of requests, with signatures and session tokens, or each lock of the cache.
_TALKATIVE = ("botocore", "aiobotocore", "s3fs", "gcsfs", "fsspec", "aiohttp", "urllib3", "google.auth", "filelock")


@dataclass(frozen=True)
class ObjectVersion:
    """One version of an object: another content has another one.

    Attributes
    ----------
    size : bytes
    etag : the storage's own digest or number of the content: S3's ETag, Google's generation
    modified : when it was written, seconds since the epoch
    """

    size: int
    etag: str
    modified: float

    @property
    def identity(self) -> str:
        """What tells it from every other version of the same object."""
        return f"{self.size}-{self.etag}"


def object_version(uri: str, storage: ObjectStorage) -> ObjectVersion:
    """Ask the storage which version of the object at `uri` there is now.

    Raises
    ------
    FileNotFoundError
        If there is none.
    StorageUnavailable
        If the storage does not answer, or not to these credentials.
    SettingsError
        If the library for the scheme is not installed.
    """
    with _translated(uri):
        info = _file_system(uri, storage).info(uri)
        if info["type"] != "file":
            raise FileNotFoundError(uri)
        return _version(uri, info)


class RangeReader:
    """Reads ranges of one version of an object, each in one request for that range.

    Errors of `read` are `BadSource` if the object is another version by now, or gone, and those of `object_version`.
    """

    def __init__(self, uri: str, storage: ObjectStorage, version: ObjectVersion) -> None:
        self._uri, self._storage, self._wanted = uri, storage, version
        self._file: Any = None

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes `start` to `stop`."""
        try:
            with _translated(self._uri):
                data = self._read(start, stop)
        except FileNotFoundError as error:
            raise BadSource(f"{self._uri} is gone: put it back, or hand it in under its new name") from error
        if len(data) != stop - start:
            raise StorageUnavailable(
                f"{self._uri}: the object storage sent {len(data)} of {stop - start} bytes: try again"
            )
        return data

    def _read(self, start: int, stop: int) -> bytes:
        if self._file is None:
            file = _file_system(self._uri, self._storage).open(self._uri, "rb", cache_type="none")
            self._require(file.details)
            self._file = file
        # s3fs sends the ETag that it saw on opening with each range, and the storage refuses another content.
        self._file.seek(start)
        data: bytes = self._file.read(stop - start)
        if not self._uri.startswith("s3://"):
            self._require(_file_system(self._uri, self._storage).info(self._uri))
        return data

    def _require(self, info: dict[str, Any]) -> None:
        if _version(self._uri, info).identity != self._wanted.identity:
            raise rewritten(self._uri)


def holds_objects(prefix: str, storage: ObjectStorage) -> bool:
    """Return whether there is something at a prefix; errors are those of `object_version`, with `FileNotFoundError` if
    there is no such bucket."""
    bucket = "/".join(prefix.split("/")[:3])
    with _translated(prefix):
        system = _file_system(prefix, storage)
        with contextlib.suppress(FileNotFoundError):
            system.info(prefix)
            return True
        with contextlib.suppress(PermissionError):  # there is one, and the credentials are for this prefix alone
            system.info(bucket)
        return False


def list_objects(prefix: str, storage: ObjectStorage) -> list[tuple[str, ObjectVersion]]:
    """Return URI and version of every object below `prefix`, which ends without a slash; errors are those of
    `object_version`, but that nothing is there is an empty list."""
    scheme = prefix.partition("://")[0]
    with _translated(prefix):
        found = _file_system(prefix, storage).find(f"{prefix}/", detail=True)
        rows = ((f"{scheme}://{key}", info) for key, info in found.items() if info["type"] == "file")
        # A key with a slash at its end stands for a folder.
        return [(uri, _version(uri, info)) for uri, info in rows if not uri.endswith("/")]


def rewritten(uri: str) -> BadSource:
    """Return the error for an object that was rewritten while it was read."""
    return BadSource(f"{uri} was rewritten since it was first looked at: what is there now counts by itself")


def _version(uri: str, info: dict[str, Any]) -> ObjectVersion:
    # The generation that gcsfs gives changes with the content alone, its ETag with what is said about it too.
    etag = str(info.get("ETag") or info.get("generation") or "").strip('"')
    if not etag:
        raise BadSource(f"{uri}: the storage gives it no ETag, by which its content is known: use one that does")
    return ObjectVersion(int(info["size"]), etag, _moment(info.get("LastModified") or info.get("updated")))


def _moment(at: object) -> float:
    """Return a time as s3fs (a `datetime`) or gcsfs (text) gives it, seconds since the epoch; 0 if there is none."""
    if isinstance(at, datetime):
        return at.timestamp()
    return (parse_time(at) if isinstance(at, str) else None) or 0.0


@contextlib.contextmanager
def _translated(uri: str) -> Iterator[None]:
    """Turn what a file system raises into errors of ours, which do not quote it."""
    try:
        yield
    except (BadSource, SettingsError, StorageUnavailable, MemoryError):
        raise
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, "the storage has no such object", uri) from None
    except PermissionError as error:
        if reason_of(error) == "InvalidObjectState":
            raise BadSource(f"{uri} is in an archive: restore it, then hand it in again") from None
        raise _no_credentials(uri, reason_of(error)) from None
    except Exception as error:  # of several libraries, which have no base in common
        name = type(error).__name__
        if name == "FileExpired" or "PreconditionFailed" in reason_of(error):
            raise rewritten(uri) from None
        if "Credentials" in name or "RefreshError" in name or getattr(error, "code", None) in _REFUSED:
            raise _no_credentials(uri, name) from None
        raise StorageUnavailable(
            f"{uri}: the object storage does not answer as it should ({reason_of(error)}): see that it runs, and "
            "SENTINEL_OBJECT_ENDPOINT and SENTINEL_OBJECT_REGION"
        ) from None


def _no_credentials(uri: str, reason: str) -> StorageUnavailable:
    scheme = uri.partition("://")[0]
    return StorageUnavailable(
        f"{uri}: the object storage refuses access ({reason}): give this process credentials that may read and list "
        f"there ({_CREDENTIALS[scheme]})"
    )


def reason_of(error: BaseException) -> str:
    """Return the code that the storage gave, or the kind of the error: its text may hold addresses and keys."""
    cause: BaseException | None = error
    while cause is not None:
        response = getattr(cause, "response", None)
        code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
        if isinstance(code, str) and code.isalnum():
            return code
        cause = cause.__cause__
    return type(error).__name__


def _file_system(uri: str, storage: ObjectStorage) -> Any:
    return _opened(uri.partition("://")[0], storage.endpoint, storage.region, os.getpid())


@lru_cache(maxsize=8)
def _opened(scheme: str, endpoint: str | None, region: str | None, _process: int) -> Any:
    """Return the file system of a scheme. A fork makes its own: the threads of its parent's are not there."""
    name = _MODULES[scheme]
    for logger in _TALKATIVE:
        logging.getLogger(logger).setLevel(logging.WARNING)
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        raise SettingsError(
            f"{scheme}:// needs {name}, which is not installed: pip install -e '.[{scheme}]' in Sentinel's folder"
        ) from error
    if scheme == "gs":
        options = {"endpoint_url": endpoint} if endpoint else {}
        return module.GCSFileSystem(use_listings_cache=False, skip_instance_cache=True, **options)
    config: dict[str, object] = {
        "connect_timeout": _CONNECT_SECONDS,
        "read_timeout": _READ_SECONDS,
        "retries": {"max_attempts": 1, "mode": "standard"},  # s3fs tries again itself
    }
    if endpoint:
        config["s3"] = {"addressing_style": "path"}  # one's own storage seldom has a host name per bucket
    system = module.S3FileSystem(
        endpoint_url=endpoint,
        client_kwargs={"region_name": region} if region else {},
        config_kwargs=config,
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    system.retries = _ATTEMPTS
    return system
