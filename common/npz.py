"""Reading arrays from a file that may have been damaged."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.errors import BadMessage


def read_npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a `.npz` file by their names. Nothing in it is executed.

    Raises
    ------
    OSError
        If it cannot be read.
    BadMessage
        If it is damaged.
    """
    data = io.BytesIO(path.read_bytes())
    try:
        with np.load(data, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # damaged bytes let zlib, zipfile and numpy raise errors of many kinds, OSError too
        raise BadMessage(f"{path.name} is damaged: {error}") from error
