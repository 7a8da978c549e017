"""Streams for `benchmarks.blinding`: real Redis, real reductions, real incidents, real healing, in one process."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.blinding_footage import BASELINE
from common import broker
from common.contracts.batches import FrameBatch, Source, SourceKind
from common.contracts.conditions import ConditionRecord
from common.contracts.events import WindowFailed, WindowPassed
from common.contracts.ids import content_id
from common.contracts.incidents import IncidentNote
from common.contracts.verdicts import Status, Verdict
from common.features import FeatureBlock, TimeSource, time_source_code
from common.models.cases import Outcome
from common.models.conditions import load_condition
from common.models.healing import Healer
from common.models.kinds import load_kind
from common.models.names import DEFAULT_MODEL
from common.settings import get_settings
from tests.erasable_redis import ErasableRedis
from workers import context, reducer
from workers.scoring import with_live_scores

_FIRST = datetime(2024, 11, 1, tzinfo=UTC).timestamp()
_BETWEEN_SECONDS = 3600.0  # of capture time between two showings
_REDIS_MB = 512
_TRAINED = re.compile(r"(?P<stream>.+)@(?P<first>\d+), \w+: (?P<how>v\d+ promoted|proved without training|v\d+ stays)")


@dataclass(frozen=True)
class Dump:
    """What streams have come to.

    Attributes
    ----------
    keys : the content of Redis: value and time to live, in ms (0: for ever), by key
    frames : frames shown, by stream
    """

    keys: dict[bytes, tuple[bytes, int]]
    frames: dict[str, int]


@contextmanager
def own_redis(folder: Path) -> Iterator[None]:
    """Run a private Redis, whose files are in a folder, that this process's settings name while the context lasts."""
    before = dict(os.environ)
    server = ErasableRedis(folder / "redis", max_mb=_REDIS_MB)
    server.start()
    nothing = folder / "sentinel.toml"  # a file of whoever runs this must not change what is measured
    nothing.touch()
    try:
        os.environ.update({"SENTINEL_REDIS_URL": server.url, "SENTINEL_CONFIG": str(nothing)})
        broker.connect_to(server.url)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        _forget_settings()
        server.stop()


def _forget_settings() -> None:
    for cached in (get_settings, context.store, context.baselines, context._conditions):
        cached.cache_clear()


@contextmanager
def camera_of(baselines_dir: Path, sources: Path) -> Iterator[Camera]:
    """Yield streams of an empty Redis, judged by the baseline `golden` of a folder, with a state of their own.

    Parameters
    ----------
    sources : folder that their footage is in
    """
    with TemporaryDirectory() as state:
        os.environ.update({
            "SENTINEL_BASELINES_DIR": str(baselines_dir),
            "SENTINEL_BASELINE": BASELINE,
            "SENTINEL_ALLOWED_ROOTS": str(sources),
            "SENTINEL_STATE_DIR": state,
        })  # fmt: skip
        _forget_settings()
        context.store().client.flushall()
        yield Camera()
        context.store().client.close()


@dataclass
class Camera:
    """Streams whose footage is judged by the reducer, and healed as the retrain worker does.

    Attributes
    ----------
    scored : whether the champion is scored on the footage that enters, as an embedding worker does
    """

    scored: bool = False
    _shown: int = 0
    _frames: dict[str, int] = field(default_factory=dict)

    def show(self, stream: str, features: FeatureBlock) -> tuple[list[Verdict], range]:
        """Let footage enter a stream, an hour after the last; return the verdicts, and its place in the stream."""
        self._shown += 1
        count = len(features)
        features = replace(
            features,
            taken_at=_FIRST + _BETWEEN_SECONDS * self._shown + np.arange(count) / 10.0,
            time_source=np.full(count, time_source_code(TimeSource.NAME), np.uint8),
        )
        store = context.store()
        uri = features.sources[0]
        batch = FrameBatch(
            id=content_id(stream, uri, self._shown),
            stream=stream,
            source=Source(uri=uri, kind=SourceKind.RECORDING, size=Path(uri).stat().st_size, digest=f"{self._shown}"),
            expected_frames=count,
            starts=(0,),
            feature_spec=context.baselines().of_stream(stream).baseline.feature_spec,
            received_at=0.0,
        )
        known = {verdict.id for verdict in self.verdicts(stream)}
        if not store.batches.register(batch):
            raise RuntimeError(f"{uri} was registered before")
        (chunk,) = store.batches.release(stream, 1)
        if self.scored:
            features = with_live_scores(chunk, Path(uri), features)
        store.chunks.finish(chunk, features)
        reducer.reduce(stream)
        first = self._frames.get(stream, 0)
        self._frames[stream] = first + count
        return [row for row in self.verdicts(stream) if row.id not in known], range(first, first + count)

    def show_until_confirmed(self, stream: str, features: FeatureBlock, most: int) -> tuple[bool, list[range]]:
        """Show footage up to `most` times; return whether a FAIL of it was confirmed, and its places in the stream."""
        places: list[range] = []
        while len(places) < most:
            verdicts, place = self.show(stream, features)
            places.append(place)
            if is_confirmed(verdicts):
                return True, places
        return False, places

    def heal(self, *streams: str, steps: int) -> Outcome:
        """Retrain for streams, `steps` for each training, and have what it notes written into their incidents."""
        store, settings = context.store(), get_settings().model_copy(update={"retrain_steps": steps})
        try:
            return Healer(
                store,
                settings,
                context.baselines(),
                DEFAULT_MODEL,
                load_kind(DEFAULT_MODEL),
                report=lambda *_: None,
                leave=self._leave,
            ).heal(streams)
        finally:
            for stream in streams:
                reducer.reduce(stream)

    def _leave(self, note: IncidentNote) -> None:
        context.store().streams.note(note)  # no task is sent: `heal` runs the reducer itself

    def verdicts(self, stream: str) -> list[Verdict]:
        """Return all verdicts on a stream."""
        events = context.store().event_log.events()
        return [row.verdict for row in events if row.stream == stream and isinstance(row, WindowFailed | WindowPassed)]

    def conditions(self, stream: str) -> list[ConditionRecord]:
        """Return the conditions of a stream."""
        champion = context.store().champions.champion(DEFAULT_MODEL)
        return [row for row in champion.conditions if row.stream == stream] if champion else []

    def said(self, stream: str) -> str:
        """Return what came of the actions on the stream's incidents."""
        incidents = context.store().streams.incidents(stream)
        return "; ".join(action.outcome for row in incidents for action in row.actions) or "no incident"

    def save(self) -> Dump:
        """Return what the streams have come to."""
        client = context.store().client
        found: dict[bytes, tuple[bytes, int]] = {}
        for key in client.scan_iter():
            value = client.dump(key)
            if value is not None:
                found[key] = (value, max(0, int(client.pttl(key))))
        return Dump(found, dict(self._frames))

    def restore(self, dump: Dump) -> None:
        """Go back to what `save` returned; capture time goes on, and files of conditions and champions stay."""
        client = context.store().client
        client.flushall()
        for key, (value, milliseconds) in dump.keys.items():
            client.restore(key, milliseconds, value)
        self._frames = dict(dump.frames)


def is_confirmed(verdicts: Iterable[Verdict]) -> bool:
    """Return whether one of the verdicts is a confirmed FAIL, which opens an incident or goes on with one."""
    return any(row.status is Status.FAIL and row.confirmed for row in verdicts)


def frames_of(condition: ConditionRecord) -> range:
    """Return which frames of its stream a condition was made of; raise `BadModel` if its footage is gone."""
    summary = load_condition(condition).segment.summary
    first = int(summary.name.rpartition("@")[2])
    return range(first, first + summary.frames)


def trained_on(outcome: Outcome, stream: str) -> Iterator[tuple[int, bool]]:
    """Yield where each stretch of a stream begins that a healing trained or proved a model on, and if it was healed.

    It is not where the gate, or the proof, refused the model.
    """
    for match in filter(None, map(_TRAINED.match, outcome.sentences)):
        if match["stream"] == stream:
            yield int(match["first"]), not match["how"].endswith("stays")
