"""Object storage by name: URIs such as s3://bucket/key, and the prefixes below which sources may lie. No I/O."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import TypeAlias

SCHEMES = ("s3", "gs")
_LONGEST_URI = 4096
_VERSION_IN_KEY = "?versionId="  # s3fs leaves out what begins with this, and would read another object


@dataclass(frozen=True)
class ObjectStorage:
    """How object storage is reached, and where what was read of it is cached.

    Credentials are none of its fields: the storage's own library takes them from the environment or its files.

    Attributes
    ----------
    cache_dir : folder of the cache, which all processes of this host share
    cache_bytes : its bound
    endpoint : URL of a storage other than that of the scheme's provider; None: the provider's
    region : None: as the provider's own configuration says
    """

    cache_dir: Path
    cache_bytes: int
    endpoint: str | None = None
    region: str | None = None


@dataclass(frozen=True)
class ObjectRoot:
    """A prefix below which sources may lie, without a slash at its end, and the storage that it is in."""

    uri: str
    storage: ObjectStorage

    def holds(self, uri: str) -> bool:
        """Return whether an object, or a prefix, is this one or lies below it.

        Examples
        --------
        >>> root = ObjectRoot("s3://site/cameras", ObjectStorage(Path("cache"), 1))
        >>> root.holds("s3://site/cameras/dock/1.mp4"), root.holds("s3://site/cameras-old/1.mp4")
        (True, False)
        """
        return uri == self.uri or uri.startswith(f"{self.uri}/")


Root: TypeAlias = Path | ObjectRoot
"""What a source may lie in: a folder, or a prefix of object storage."""


def is_object_uri(uri: str) -> bool:
    """Return whether `uri` names object storage, rightly or wrongly written."""
    scheme, separator, _ = uri.partition("://")
    return bool(separator) and scheme.lower() in SCHEMES


def check_object_uri(uri: str) -> str:
    """Return `uri`, of an object or a prefix, without a slash at its end.

    Raises
    ------
    ValueError
        Which says what is wrong with it. A key may hold any character in the storage; here none of its parts between
        slashes may be empty, `.` or `..`, and none may hold a control character.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme not in SCHEMES:
        raise ValueError(f"it begins with none of {', '.join(f'{known}://' for known in SCHEMES)}")
    if len(uri) > _LONGEST_URI:
        raise ValueError(f"it has more than {_LONGEST_URI} characters")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in uri):
        raise ValueError("it has a control character")
    parts = rest.removesuffix("/").split("/")
    if any(part in {"", ".", ".."} for part in parts):
        raise ValueError("a part of it between slashes is empty, . or ..: rename the object")
    if _VERSION_IN_KEY in rest:
        raise ValueError(f"it has {_VERSION_IN_KEY}: only what an object is now is read; rename one whose key has that")
    if any(character in parts[0] for character in "@:?#%\\ "):
        raise ValueError("what stands before the first slash is no bucket's name; credentials do not belong there")
    return f"{scheme}://{'/'.join(parts)}"


def check_prefixes_apart(uris: Sequence[str]) -> None:
    """Raise `ValueError` if one prefix lies below another: what is below both would come twice, in two streams."""
    for one, other in permutations(set(uris), 2):
        if other.startswith(f"{one}/"):
            raise ValueError(f"{other} lies below {one}: leave one out")
