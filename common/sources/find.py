"""Finding the sources at a path."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from common.contracts.batches import SourceKind
from common.errors import BadSource
from common.sources.local import describe_kind, is_media, unreadable
from common.sources.media_types import is_ignored, kind_of, natural_order
from common.sources.objects.path import ObjectPath
from common.sources.objects.storage import ObjectVersion, list_objects

log = logging.getLogger(__name__)


def find_sources(path: Path) -> list[Path]:
    """Return the sources at `path`: a file itself, or the recordings and folders of images in and below a folder.

    Images beside recordings are left out, because they are usually posters or thumbnails. In object storage there are
    no folders: each recording and each image below a prefix is a source.

    Raises
    ------
    BadSource
        If there is nothing at `path`, no video or image in or below it, or a folder cannot be read.
    """
    if isinstance(path, ObjectPath):
        return _found_below(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise BadSource(f"{path} does not exist: name a video, an image, or a folder of them")
    found = _found_in(path, above=())
    if not found:
        raise BadSource(f"{path} holds no videos or images: put the footage there")
    return found


def _found_below(prefix: ObjectPath) -> list[Path]:
    """Return the object itself, or those below a prefix, in natural order."""
    try:
        if is_media(prefix):
            prefix.stat()
            return [prefix]
        listed = list_objects(str(prefix), prefix.storage)
    except FileNotFoundError as error:
        raise BadSource(f"{prefix} does not exist: name an object, or a prefix of some") from error
    found = []
    for uri, version in media_objects(listed):
        try:
            found.append(ObjectPath.of(uri, prefix.storage, version))
        except ValueError as error:
            log.warning("%r is left out: %s", uri, error)
    if not found:
        raise BadSource(f"{prefix} holds no videos or images: put the footage below it")
    return sorted(found, key=natural_order)


def media_objects(listed: Iterable[tuple[str, ObjectVersion]]) -> Iterator[tuple[str, ObjectVersion]]:
    """Yield those objects of a listing that `is_media_object`."""
    return ((uri, version) for uri, version in listed if is_media_object(uri))


def is_media_object(uri: str) -> bool:
    """Return whether a modality reads such an object, and neither it nor a folder above it is hidden or temporary."""
    *folders, name = uri.split("/")[3:]
    return kind_of(name) is not None and not any(is_ignored(part) for part in (*folders, name))


def _found_in(folder: Path, above: tuple[Path, ...]) -> list[Path]:
    """Return the sources in and below `folder`; `above` are the folders that lead to it, with links resolved."""
    try:
        here = folder.resolve()
        if here in above:  # a link to a folder that contains it
            return []
        children = sorted(child for child in folder.iterdir() if not child.name.startswith("."))
        media = [child for child in children if child.is_file() and is_media(child)]
    except OSError as error:
        raise unreadable(folder, error) from error
    found = [child for child in media if describe_kind(child) is SourceKind.RECORDING]
    if media and not found:
        found = [folder]  # images only: the folder is one batch
    for child in children:
        if child.is_dir():
            found += _found_in(child, (*above, here))
    return found
