"""Streams of a camera whose clips are judged by real reductions and healed by real retrainings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from common import broker
from common.baselines.binding import BaselineBinding
from common.baselines.build import build_baseline
from common.baselines.storage import StoredBaseline
from common.contracts.conditions import ConditionRecord
from common.contracts.incidents import Incident
from common.contracts.models import ChampionRecord
from common.contracts.verdicts import Verdict
from common.extraction import Extractor
from common.features import FeatureBlock, TimeSource, time_source_code
from common.models.cases import Outcome
from common.models.healing import Healer
from common.models.kinds import load_kind
from common.models.reporting import Report
from common.models.vfi import live, triplets
from common.settings import Settings
from common.sources.local import describe_kind
from common.store import Store
from tests.common.builders import batch
from workers import context, reducer

FPS = 10
CLIP_SECONDS = 24  # 120 examples held out, and some to train on, when those across cuts are set aside
WINDOW = 24  # sampled frames
FIRST = datetime(2024, 11, 1, tzinfo=UTC).timestamp()
DAY = 86_400.0
GROWING_NOISE = (2.0, 3.0, 4.5, 6.0, 8.0, 10.0, 12.5, 15.0)
"""Standard deviation of the noise of the clips `noise, step N`, grey levels: up to severity 3; 8 is severity 2."""


@dataclass
class Site:
    """Streams, all judged by baseline `golden`, and their model, by its name."""

    store: Store
    settings: Settings
    baselines: BaselineBinding
    camera: dict[str, FeatureBlock]
    model: str = "vfi"
    reports: list[str] = field(default_factory=list)
    _shown: int = 0

    def show(self, stream: str, clip: str, *, day: float | None = None) -> list[Verdict]:
        """Let a clip enter `stream`, an hour after the one before or on a day, and return the verdicts on it."""
        self._shown += 1
        taken = FIRST + (3600.0 * self._shown if day is None else DAY * day)
        features = self.camera[clip]
        features = replace(
            features,
            taken_at=taken + features.times,
            time_source=np.full(len(features), time_source_code(TimeSource.NAME), np.uint8),
        )
        work = batch(stream, name=f"{stream}-{self._shown}", frames=len(features), chunk_frames=len(features))
        spec = self.baselines.of_stream(stream).baseline.feature_spec
        before = {verdict.id for verdict in self.verdicts(stream)}
        assert self.store.batches.register(work.model_copy(update={"feature_spec": spec}))
        (chunk,) = self.store.batches.release(stream, 8)
        self.store.chunks.finish(chunk, features)
        reducer.reduce(stream)
        return [verdict for verdict in self.verdicts(stream) if verdict.id not in before]

    def heal(self, *streams: str, report: Report | None = None, settings: Settings | None = None) -> Outcome:
        """Retrain for `streams`, and have what it notes written into their incidents."""
        try:
            return Healer(
                self.store,
                settings or self.settings,
                self.baselines,
                self.model,
                load_kind(self.model),
                report=report or (lambda stage, *_: self.reports.append(stage)),
                leave=self.store.streams.note,
            ).heal(streams)
        finally:
            for stream in streams:
                reducer.reduce(stream)

    def verdicts(self, stream: str) -> list[Verdict]:
        events = self.store.event_log.events()
        return [event.verdict for event in events if event.stream == stream and hasattr(event, "verdict")]

    @property
    def champion(self) -> ChampionRecord | None:
        return self.store.champions.champion(self.model)

    @property
    def conditions(self) -> tuple[ConditionRecord, ...]:
        return self.champion.conditions if self.champion else ()

    def incident(self, stream: str) -> Incident:
        """Return the one incident of `stream`."""
        (incident,) = self.store.streams.incidents(stream)
        return incident

    def said(self, stream: str) -> str:
        """Return what came of the latest action on the stream's incidents."""
        actions = [action for incident in self.store.streams.incidents(stream) for action in incident.actions]
        return max(actions, key=lambda action: action.at).outcome


def make_triplets(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let triplets have this height and width: smaller than at work, which saves most of the time that tests take."""
    for module in (triplets, live):
        monkeypatch.setattr(module, "TRIPLET_SIZE", size)


@contextmanager
def at_work(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Let the reductions of this process work for `site`."""
    monkeypatch.setattr(broker, "app", broker.make_app(site.settings))
    monkeypatch.setattr(context, "store", lambda: site.store)
    monkeypatch.setattr(context, "baselines", lambda: site.baselines)
    monkeypatch.setattr(reducer, "get_settings", lambda: site.settings)
    yield site
    context._conditions.cache_clear()


class _Quiet:
    """Shows no progress."""

    @contextmanager
    def source(self, name: str, frames: int) -> Iterator[_Quiet]:
        yield self

    def advance(self, frames: int) -> None:
        pass

    def say(self, text: str) -> None:
        pass


def build_golden(clip: Path, folder: Path, extractor: Extractor) -> StoredBaseline:
    settings = Settings(_env_file=None, window_frames=WINDOW)  # type: ignore[call-arg]
    return build_baseline([clip], "golden", folder, extractor, settings, _Quiet())


def features_of(clip: Path, extractor: Extractor, golden: StoredBaseline) -> FeatureBlock:
    fps = golden.baseline.feature_spec.sample_fps
    return extractor.extract(clip, describe_kind(clip), uri=str(clip), sample_fps=fps)


def statuses(verdicts: Sequence[Verdict]) -> set[str]:
    return {str(verdict.status) for verdict in verdicts}


def environment_of(site: Site, **more: str) -> dict[str, str]:
    """Return the environment of a process that works for a site."""
    own = site.settings
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("SENTINEL_")},
        "SENTINEL_REDIS_URL": str(own.redis_url),
        "SENTINEL_STATE_DIR": str(own.state_dir),
        "SENTINEL_BASELINES_DIR": str(own.baselines_dir),
        "SENTINEL_BASELINE": "golden",
        "SENTINEL_ALLOWED_ROOTS": str(own.allowed_roots[0]),
        "SENTINEL_WINDOW_FRAMES": str(WINDOW),
        "SENTINEL_PROMOTE_ERROR": str(own.promote_error),
        "SENTINEL_PROMOTE_MAX_WORST_LOSS_DB": str(own.promote_max_worst_loss_db),
        "SENTINEL_MAX_DELIVERIES": "50",  # a kill counts as one
        **more,
    }
