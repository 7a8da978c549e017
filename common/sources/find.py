"""Finding the sources at a path."""

from __future__ import annotations

from pathlib import Path

from common.contracts.batches import SourceKind
from common.errors import BadSource
from common.sources.local import describe_kind, is_media, unreadable


def find_sources(path: Path) -> list[Path]:
    """Return the sources at `path`: a file itself, or the recordings and folders of images in and below a folder.

    Images beside recordings are left out, because they are usually posters or thumbnails.

    Raises
    ------
    BadSource
        If there is nothing at `path`, no video or image in or below it, or a folder cannot be read.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise BadSource(f"{path} does not exist: name a video, an image, or a folder of them")
    found = _found_in(path, above=())
    if not found:
        raise BadSource(f"{path} holds no videos or images: put the footage there")
    return found


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
