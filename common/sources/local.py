"""Checks of paths, file URIs and URIs of object storage: whether they are allowed, and what kind of source of which
modality they are."""

from __future__ import annotations

import re
import stat
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from common.contracts.batches import SourceKind
from common.errors import BadSource, PathNotAllowed
from common.modalities.modality import Modality
from common.modalities.registry import load_modality, modality_name_of, suffixes
from common.object_root import SCHEMES, ObjectRoot, Root, check_object_uri, is_object_uri
from common.sources.limits import Limits
from common.sources.media_types import is_ignored, kind_of, natural_order
from common.sources.objects.path import ObjectPath

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")  # two letters at least: `C:` is a drive letter


def source_path(uri: str, roots: Sequence[Root]) -> Path:
    """Return the path of the file, folder or object at `uri`, with all links resolved.

    Parameters
    ----------
    uri : a path, a `file://` URI, or an object such as `s3://bucket/key`
    roots : folders, and prefixes of object storage, that a source may lie in

    Raises
    ------
    PathNotAllowed
        If the resolved path, or the object, is under none of `roots`.
    BadSource
        If `uri` is not a valid path or object, or a URL of another scheme.
    """
    if is_object_uri(uri):
        return _object_path(uri, [root for root in roots if isinstance(root, ObjectRoot)])
    try:
        path = Path(_path_part(uri)).resolve()
        allowed = [root.resolve() for root in roots if isinstance(root, Path)]
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name that is too long, a NUL character
        raise BadSource(
            f"{uri!r} is no path that can be followed ({error}): send the path of a file or folder"
        ) from error
    if not any(path.is_relative_to(root) for root in allowed):
        raise PathNotAllowed(
            f"{path} lies under none of the allowed folders ({', '.join(map(str, allowed)) or 'there are none'}): "
            "move it there, or add its folder to SENTINEL_ALLOWED_ROOTS"
        )
    return path


def _object_path(uri: str, roots: Sequence[ObjectRoot]) -> ObjectPath:
    try:
        name = check_object_uri(uri)
    except ValueError as error:
        raise BadSource(f"{without_credentials(uri)!r:.500} names no object that can be read: {error}") from error
    root = next((root for root in roots if root.holds(name)), None)
    if root is None:
        prefixes = ", ".join(root.uri for root in roots)
        raise PathNotAllowed(
            f"{name} lies below none of the allowed prefixes ({prefixes or 'there are none'}): add its prefix to "
            "SENTINEL_OBJECT_ROOTS"
        )
    return ObjectPath.of(name, root.storage)


def _path_part(uri: str) -> str:
    match = _SCHEME.match(uri)
    if match is None:
        return uri
    if match[1].lower() != "file":
        raise BadSource(
            f"{without_credentials(uri)!r:.500}: sources at {match[1]}:// are not read: send a path, or a URI that "
            f"begins with file://, {', '.join(f'{scheme}://' for scheme in SCHEMES)}"
        )
    # urlsplit removes control characters silently, and the URI would name another file.
    if any(unicodedata.category(character) == "Cc" for character in uri):
        raise BadSource(f"{uri!r} has a control character: write it as %XX in a file URI")
    parts = urlsplit(uri, allow_fragments=False)
    if parts.netloc not in {"", "localhost"}:
        raise BadSource(
            f"{without_credentials(uri)!r:.500} names a file on another host: a file URI has three slashes, "
            "file:///folder/file"
        )
    # A question mark is part of the file name: a file URI has no query.
    return unquote(parts.path + (f"?{parts.query}" if parts.query else ""), errors="strict")


def without_credentials(uri: str) -> str:
    """Return a URI that is refused, for messages: without the query, which in a presigned URL lets anyone in, and
    without anything where a user and a password may stand, which may have slashes."""
    scheme, separator, rest = uri.partition("://")
    if set("@:") & set(rest.partition("/")[0]):
        return f"{scheme}{separator}..."
    shown, query, _ = rest.partition("?")
    return f"{scheme}{separator}{shown}{query and '?...'}"


def is_media(path: Path) -> bool:
    """Return whether a modality reads files with the name of `path`, and it is not hidden or temporary."""
    return kind_of(path.name) is not None and not is_ignored(path.name)


def describe_kind(path: Path) -> SourceKind:
    """Return what kind of source `path` is: a folder, or by its suffix; raise `BadSource` if it is none."""
    if path.is_dir():
        return SourceKind.FOLDER
    kind = kind_of(path.name)
    if kind is not None:
        return kind
    wanted = "".join(f"no {what} ({' '.join(sorted(of))}), " for what, of in _suffixes_by_use().items())
    raise BadSource(f"{path} is {wanted.rstrip(', ')} and no folder of images: rename or convert it")


def _suffixes_by_use() -> dict[str, list[str]]:
    """Return the suffixes of recordings by their modality, and those of stills."""
    found: dict[str, list[str]] = {}
    for suffix, (modality, kind) in suffixes().items():
        found.setdefault(modality if kind is SourceKind.RECORDING else "image", []).append(suffix)
    return found


def modality_of(path: Path, limits: Limits) -> Modality[Any]:
    """Return the modality of the file or folder of stills at `path`.

    Raises
    ------
    BadSource
        If no modality reads it, or the files in a folder are of several.
    """
    kind = describe_kind(path)
    names = {modality_name_of(file.name) for file in (images_in(path, limits) if kind is SourceKind.FOLDER else [path])}
    if len(names) > 1:
        raise BadSource(f"{path} holds files of {' and '.join(sorted(map(str, names)))}: give each a folder of its own")
    return load_modality(str(names.pop()))


def check_modality(path: Path, wanted: str, limits: Limits) -> None:
    """Raise `BadSource` unless the source at `path` is of the modality that is called `wanted`."""
    found = modality_of(path, limits).name
    if found != wanted:
        raise BadSource(f"{path} is of modality {found}, not {wanted}: a baseline judges one modality")


def images_in(folder: Path, limits: Limits) -> list[Path]:
    """Return the images directly in `folder`, in natural order of their names (`2.jpg` before `10.jpg`).

    Raises
    ------
    BadSource
        If there are none or too many, or the folder cannot be read.
    PathNotAllowed
        If an image is a link to a file outside of the folder.
    """
    try:
        found = [p for p in folder.iterdir() if not is_ignored(p.name) and kind_of(p.name) is SourceKind.IMAGE]
        names = [p for p in found if not p.is_dir()]
        home = folder.resolve()
        strays = [p for p in names if p.is_symlink() and not p.resolve().is_relative_to(home)]
    except (OSError, RuntimeError) as error:  # Python before 3.13 calls a loop of links a RuntimeError
        raise unreadable(folder, error) from error
    if strays:
        raise PathNotAllowed(f"{strays[0]} is a link that leaves its folder: put the image itself there")
    if not names:
        stills = sorted(suffix for suffix, (_, kind) in suffixes().items() if kind is SourceKind.IMAGE)
        raise BadSource(f"{folder} holds no images ({' '.join(stills)}): put some there, or remove it")
    if len(names) > limits.max_folder_files:
        raise BadSource(
            f"{folder} holds {len(names)} images, more than SENTINEL_MAX_FOLDER_FILES "
            f"({limits.max_folder_files}): split it"
        )
    # `1.jpg` and `01.jpg` are equal in natural order; the names break the tie.
    return sorted(names, key=lambda path: (natural_order(Path(path.name)), path.name))


def check_file(path: Path, limits: Limits) -> int:
    """Return the size of a file in bytes; raise `BadSource` if it is not a regular file, empty, or too large."""
    try:
        seen = path.stat()
    except OSError as error:
        raise unreadable(path, error) from error
    if not stat.S_ISREG(seen.st_mode):  # opening a pipe would block forever
        raise BadSource(f"{path} is no regular file: send a video or image file")
    if seen.st_size == 0:
        raise BadSource(f"{path} is empty: send it again, whole")
    if seen.st_size > limits.max_file_bytes:
        raise BadSource(
            f"{path} has {seen.st_size} bytes, more than SENTINEL_MAX_FILE_BYTES ({limits.max_file_bytes}): "
            "cut it into parts, or raise the setting"
        )
    return seen.st_size


def unreadable(path: Path, error: OSError | RuntimeError) -> BadSource:
    """Return a `BadSource` with the reason why `path` cannot be read."""
    reason = error.strerror if isinstance(error, OSError) else None
    return BadSource(f"{path} cannot be read ({reason or error}): check that it exists and its permissions")


def printable(path: Path) -> str:
    """Return `path` as text; raise `BadSource` if it is not valid UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise BadSource(f"{str(path)!r} has a name that is not valid UTF-8: rename it") from error
    return str(path)
