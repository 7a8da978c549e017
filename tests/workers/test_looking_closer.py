"""A live camera by its key frames while all is quiet, by every frame in doubt, and each of them counts once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from common.baselines.binding import BaselineBinding
from common.baselines.golden import ComesFrom, Golden, Learning
from common.baselines.learning.choosing import burst_id, slot_seconds
from common.baselines.storage import StoredBaseline
from common.contracts.batches import Chunk, FrameBatch, Submission
from common.contracts.events import EventType
from common.contracts.verdicts import Status, Verdict
from common.drift.windows import WindowState
from common.features import FeatureBlock
from common.ingest.accept import Ingestor
from common.store import Store, keys
from common.store.learning import TakenBurst
from common.store.streams import Committed
from producers.cameras.attention import Attention
from producers.cameras.segments import Segment
from tests.common.baselines.small import small_baseline
from tests.common.drift.footage import RULE, footage
from tests.footage import scene, write_clip
from tests.learning import begin
from workers import reducer

FPS, SECONDS, GOP = 10, 4, 10
FRAMES, KEYS = FPS * SECONDS, SECONDS
BEGAN = 1_700_000_000.0
SCORE = 0.25  # clean made-up footage has scores up to 0.2


@dataclass
class Dock:
    """A camera whose segments are handed in as `producers.rtsp` does, with made-up features."""

    ingestor: Ingestor
    store: Store
    folder: Path
    number: int = 0
    sampled: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settings = self.ingestor.settings.model_copy(update={"closer_score": SCORE})
        self.attention = Attention(self.settings, self.store, self.ingestor.baselines)

    def segment(self, gop: int = GOP) -> Segment:
        """Return the next segment of the camera."""
        path = self.folder / f"{self.number:03d}.mp4"
        if not path.exists():
            write_clip(path, scene(FRAMES, seed=self.number), fps=FPS, gop=gop, options={"bf": "0"})
        return Segment("dock", path, BEGAN + self.number * SECONDS, path.stat().st_size)

    def hand_in(self, segment: Segment, *, sparse: bool) -> Submission:
        return self.ingestor.accept_file(
            "dock", str(segment.path), event_key=segment.path.name, taken_at=segment.began, continues=True,
            sparse=sparse,
        )  # fmt: skip

    def batch_of(self, segment: Segment) -> FrameBatch:
        return next(row for row in self.batches() if row.source.uri == str(segment.path))

    def batches(self) -> list[FrameBatch]:
        found = self.store.client.keys(keys.stream_key("dock", "batch:*"))
        messages = [self.store.client.hget(key, "message") for key in found]
        return [FrameBatch.from_json(message) for message in messages if message]  # without: they are judged

    def pass_on(self, **fault: float) -> None:
        """Let the next segment be handed in and judged; `fault` is of its footage."""
        segment = self.segment()
        assert self.hand_in(segment, sparse=self.attention.is_quiet(segment)) is Submission.ACCEPTED
        self.number += 1
        whole = footage(FRAMES, seed=100 + self.number, name=str(segment.path), **fault)  # type: ignore[arg-type]
        batch = self.batch_of(segment)
        for chunk in batch.chunks():
            self.store.chunks.finish(chunk, features_of(chunk, whole))
        self.sampled.append(batch.expected_frames)
        while reducer.move_on("dock") is not Committed.DONE:
            pass

    def verdicts(self) -> list[Verdict]:
        kinds = {EventType.VERDICT_PASS, EventType.VERDICT_FAIL}
        return [event.verdict for event in self.store.event_log.events() if event.type in kinds]


def features_of(chunk: Chunk, whole: FeatureBlock) -> FeatureBlock:
    """Return what an embedding worker would store of a chunk."""
    step = 1 if chunk.sparse_fps is None else GOP
    rows = range(0, FRAMES, step)[chunk.start : chunk.stop]
    return FeatureBlock.concatenate([whole[row : row + 1] for row in rows])


@pytest.fixture
def dock(ingestor: Ingestor, store: Store) -> Dock:
    return Dock(ingestor, store, ingestor.settings.watch_dir)


def test_key_frames_while_all_is_quiet_and_every_frame_from_the_first_suspicion_until_it_is_decided(dock: Dock) -> None:
    for _ in range(9):
        dock.pass_on()
    assert dock.sampled[0] == FRAMES, "nothing is known of it yet"
    assert dock.sampled[3:] == [KEYS] * 6
    assert all(verdict.status is Status.PASS for verdict in dock.verdicts())
    before = len(dock.sampled)
    while not dock.verdicts()[-1].confirmed and len(dock.sampled) < before + 12:
        dock.pass_on(noise=2.0)
    assert dock.verdicts()[-1].confirmed
    faulty = dock.sampled[before:]
    first = faulty.index(FRAMES)
    assert faulty[:first] == [KEYS] * first and set(faulty[first:]) == {FRAMES}
    dock.pass_on(noise=2.0)
    assert dock.sampled[-1] == KEYS, "it is decided"
    check_windows(dock)


def check_windows(dock: Dock) -> None:
    """Each frame counts once, segments of key frames are judged at their end, and verdicts say how samples lie."""
    verdicts, ends = dock.verdicts(), np.cumsum(dock.sampled).tolist()
    assert dock.store.streams.pending("dock") == 0
    assert WindowState.from_bytes(dock.store.streams.window("dock").state or b"").position == ends[-1]
    stops = [verdict.stop for verdict in verdicts]
    assert stops == sorted(set(stops)) and max(np.diff(stops)) <= RULE.stride
    sparse = {end for end, frames in zip(ends, dock.sampled, strict=True) if frames == KEYS}
    assert sparse <= set(stops)
    far = np.concatenate([[frames == KEYS] * frames for frames in dock.sampled])
    for verdict in verdicts:
        own = far[verdict.start : verdict.stop]
        assert (verdict.spacing is not None) == (own.sum() > RULE.frames / 6) or 0 < own.sum() <= RULE.frames / 4
    assert verdicts[0].spacing is None


def test_a_segment_counts_once_however_it_is_handed_in_and_key_frames_alone_where_they_are_enough(dock: Dock) -> None:
    segment = dock.segment()
    assert dock.hand_in(segment, sparse=True) is Submission.ACCEPTED
    assert dock.hand_in(segment, sparse=False) is Submission.DUPLICATE, "by a process that was killed meanwhile"
    (batch,) = dock.batches()
    assert batch.expected_frames == KEYS and batch.sparse_fps is not None
    (chunk,) = batch.chunks()
    assert dock.ingestor.retry_chunk(chunk, "1-0") is Submission.ACCEPTED
    assert [row.sparse_fps for row in dock.batches()] == [batch.sparse_fps] * 2, "a retry samples it as before"
    for gop in (1, FRAMES):  # they save nothing, or come too seldom
        dock.number += 1
        segment = dock.segment(gop)
        assert dock.hand_in(segment, sparse=True) is Submission.ACCEPTED
        assert (dock.batch_of(segment).sparse_fps, dock.batch_of(segment).expected_frames) == (None, FRAMES)


def test_whatever_is_not_known_is_a_doubt(dock: Dock) -> None:
    assert not dock.attention.is_quiet(dock.segment()), "no verdict"
    for _ in range(2):
        dock.pass_on()
    assert dock.attention.is_quiet(dock.segment())
    never = dock.settings.model_copy(update={"closer_score": 0.0})
    assert not Attention(never, dock.store, dock.ingestor.baselines).is_quiet(dock.segment())
    small_baseline(dock.settings.baselines_dir / "test", seed=2)
    assert not dock.attention.is_quiet(dock.segment()), "a verdict by another baseline"
    nobody = dock.settings.model_copy(update={"baseline": "none"})
    assert not Attention(nobody, dock.store, BaselineBinding(nobody, dock.store)).is_quiet(dock.segment())


def test_a_stream_that_learns_is_looked_at_closely_once_per_burst(dock: Dock, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        dock.pass_on()
    stored = dock.ingestor.baselines.of_stream("dock")
    plan = begin(dock.store, "dock")
    learning = Learning(plan, stored.id, Path("/nowhere"), None, None)
    monkeypatch.setattr(Learning, "id", stored.id)
    segment = dock.segment()
    slot = int(segment.began // slot_seconds(dock.settings))

    def is_quiet(known: StoredBaseline | None) -> bool:
        golden = Golden(known, ComesFrom.LEARNED, stored.id, None, learning)
        monkeypatch.setattr(dock.ingestor.baselines, "current", lambda stream: golden)
        return dock.attention.is_quiet(segment)

    assert not is_quiet(stored)
    burst = TakenBurst(burst_id(learning, slot), slot, footage(RULE.frames, seed=1))
    dock.store.streams.commit(
        "dock", read=dock.store.streams.window("dock"), state=None, frames=None, chunks=(), batch_events=(), judged=(),
        bursts=[burst],
    )  # fmt: skip
    assert is_quiet(stored)
    assert not is_quiet(None), "it has no baseline yet"
