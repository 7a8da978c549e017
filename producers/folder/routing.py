"""What a path below the watched folder means: pure rules on names, no file system.

Where a file goes follows from its path and its kind alone, never from when it
came or what lies beside it. So a restart, a slow copy or a late image cannot
change it. With `incoming/` as the watched folder:

==================================  ===============  =====================================
path                                stream           submitted as
==================================  ===============  =====================================
``dock/clip.mp4``                   ``dock``         one video
``site/dock 3/clip.mp4``            ``site/dock 3``  one video
``dock/0001.jpg``                   ``dock``         one image: a batch of one frame
``dock/monday/0001.jpg``            ``dock``         the folder ``dock/monday``, one batch
``site/dock 3/monday/0001.jpg``     ``site/dock 3``  the folder ``monday``, one batch
``site/dock 3/0001.jpg`` with       ``site/dock 3``  one image
``site/dock 3/.stream`` beside it
``clip.mp4``                        none             refused: it lies in no stream
==================================  ===============  =====================================

In words: a video belongs to the folder it lies in. A folder right below the
watched one is a stream, so an image in it is a batch of its own. Any deeper
folder is one batch of images of the folder above it, unless it holds a file
called `.stream` (empty will do), which makes it a stream of single images. Put the marker there before the first image.

Hidden and temporary names are ignored, files and whole folders alike, until
they are renamed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from common.contracts.batches import SourceKind

STREAM_MARKER = ".stream"


@dataclass(frozen=True)
class Destination:
    """Where a file goes: the stream's name as found (not yet checked), and the unit that it is submitted with."""

    stream: str
    unit: PurePath
    kind: SourceKind


def destination_of(path: PurePath, kind: SourceKind, *, marked: bool) -> Destination:
    """Return where a video or image goes; the module's docstring has the rule.

    Parameters
    ----------
    path : relative to the watched folder
    kind : VIDEO or IMAGE, from `kind_of`
    marked : whether the file's folder holds a `STREAM_MARKER`

    Examples
    --------
    >>> destination_of(PurePath("dock/monday/0001.jpg"), SourceKind.IMAGE, marked=False)
    Destination(stream='dock', unit=PurePosixPath('dock/monday'), kind=<SourceKind.FOLDER: 'folder'>)
    """
    folder = path.parent
    if kind is SourceKind.IMAGE and len(folder.parts) > 1 and not marked:
        return Destination("/".join(folder.parent.parts), folder, SourceKind.FOLDER)
    return Destination("/".join(folder.parts), path, kind)
