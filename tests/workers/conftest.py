"""Fixtures of the workers' tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from common import broker
from common.baselines.binding import BaselineBinding
from common.extraction import Extractor
from common.features import Image
from common.ingest.accept import Ingestor
from common.modalities.video.encode import write_video
from common.modalities.video.modality import VIDEO
from common.models import golden_reference
from common.models.vfi.first import starting_model
from common.models.vfi.model import Interpolator
from common.settings import Settings
from common.sources.limits import Limits
from common.store import Store
from sentinel.stack.redis_server import RedisServer
from simulation.saboteur import Fault, sabotage_frames
from simulation.virtual_camera import SCENES, film, load_photograph
from tests.common.models.site import FPS, build_golden, make_triplets
from tests.common.models.thrifty import Thumbnails
from tests.workers.decaying import Yard
from workers import context, embedding, learning, reducer

YARD_SIZE = (108, 192)  # height and width of the clips, and of triplets, which are larger at work


@pytest.fixture
def ingestor(store: Store, ingestor: Ingestor, monkeypatch: pytest.MonkeyPatch) -> Ingestor:
    """The same, in a process whose workers have its store and baselines."""
    monkeypatch.setattr(context, "store", lambda: store)
    monkeypatch.setattr(context, "baselines", lambda: ingestor.baselines)
    return ingestor


@pytest.fixture
def own(store: Store, settings: Settings, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings without a baseline, in a process whose workers have the test's store."""
    own = settings.model_copy(update={"redis_url": redis_server.url, "keep_pictures": "off"})
    binding = BaselineBinding(own, store)
    monkeypatch.setattr(broker, "app", broker.make_app(own))
    monkeypatch.setattr(context, "store", lambda: store)
    monkeypatch.setattr(context, "baselines", lambda: binding)
    for module in (reducer, learning):
        monkeypatch.setattr(module, "get_settings", lambda: own)
    return own


@pytest.fixture(scope="session")
def yard_size(request: pytest.FixtureRequest) -> tuple[int, int]:
    """Height and width of the clips of `yard`; a test that needs others names them as the fixture's parameter."""
    return getattr(request, "param", YARD_SIZE)


@pytest.fixture(scope="session")
def yard_clips(yard_size: tuple[int, int], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of one camera in a folder, with the baseline `golden`."""
    folder = tmp_path_factory.mktemp("yard")
    photographs = [load_photograph(SCENES[0])]
    height, width = yard_size

    def shots(seed: int, seconds: int) -> list[Image]:
        return list(film(photographs, count=seconds * FPS, fps=FPS, seed=seed, width=width, height=height))

    clean = shots(2, 24)
    clips = {
        "golden": shots(1, 30),
        "clean": clean,
        "noise": list(sabotage_frames(clean, Fault.NOISE, 2)),
        "frozen": list(sabotage_frames(clean, Fault.FROZEN, 5)),
    }
    for name, images in clips.items():
        write_video(folder / f"{name}.mp4", images, FPS)
    with pytest.MonkeyPatch.context() as monkeypatch:
        make_triplets(yard_size, monkeypatch)
        build_golden(folder / "golden.mp4", folder / "baselines" / "golden", Extractor(VIDEO, Thumbnails(), Limits()))
    return folder


@pytest.fixture(scope="session")
def champion() -> Interpolator:
    """A sound champion: the starting weights, which fitting to golden footage would change little and take long."""
    return starting_model()


@pytest.fixture
def yard(
    yard_size: tuple[int, int],
    yard_clips: Path,
    store: Store,
    settings: Settings,
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Yard]:
    own = settings.model_copy(
        update={
            "baselines_dir": yard_clips / "baselines",
            "baseline": "golden",
            "allowed_roots": (yard_clips,),
            "redis_url": redis_server.url,
        }
    )
    make_triplets(yard_size, monkeypatch)
    binding = BaselineBinding(own, store)
    extractor = Extractor(VIDEO, Thumbnails(), Limits())
    monkeypatch.setattr(broker, "app", broker.make_app(own))
    monkeypatch.setattr(context, "store", lambda: store)
    monkeypatch.setattr(context, "baselines", lambda: binding)
    monkeypatch.setattr(context, "extractor", extractor.following)
    for module in (context, embedding, reducer):
        monkeypatch.setattr(module, "get_settings", lambda: own)
    monkeypatch.setattr(golden_reference, "_MOST_GOLDEN", 40)  # instead of 100: the camera is drawn, and quite even
    yield Yard(store, own, yard_clips)
    context._conditions.cache_clear()
