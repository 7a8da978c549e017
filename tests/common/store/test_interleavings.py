"""A stream under any interleaving of deliveries, on a real Redis, ends like one clean run."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from common.contracts.batches import FrameBatch
from common.contracts.events import EventType
from common.settings import Settings
from common.store import Store
from common.store.chunks import Finished
from common.store.streams import Committed
from sentinel.stack.redis_server import RedisServer
from tests.common.builders import batch
from tests.common.store.test_streams import chunk_features, commit, kept


class Deliveries(RuleBasedStateMachine):
    """Deliver, redeliver, reorder, crash between any two steps: the frames that enter equal those of one clean run."""

    server: RedisServer
    batches = Bundle("batches")

    @initialize()
    def begin(self) -> None:
        self.store = Store(self.server.url, Settings(_env_file=None))  # type: ignore[call-arg]
        self.store.client.flushall()
        self.order: list[FrameBatch] = []
        self.finished: set[str] = set()
        self.released: list[str] = []
        self.asked = False

    @rule(target=batches, name=st.sampled_from("abcdef"), frames=st.integers(1, 30), size=st.integers(1, 12))
    def offer(self, name: str, frames: int, size: int) -> object:
        offered = batch(name=name, frames=frames, chunk_frames=size)
        known = {work.id: work for work in self.order}
        assert self.store.batches.register(offered) == (offered.id not in known)
        if offered.id in known:
            return multiple()
        self.order.append(offered)
        return offered

    @rule(work=batches, pick=st.integers(0, 30), crash=st.booleans())
    def deliver(self, work: FrameBatch, pick: int, crash: bool) -> None:
        chunk = work.chunks()[pick % len(work.chunks())]
        heads = self.store.chunks.finish(chunk, chunk_features(chunk)) is Finished.READY
        self.finished.add(chunk.id)
        # A worker killed before it sent `reduce` is redelivered: the next delivery sends it.
        self.asked = self.asked or (heads and not crash)

    @rule(most=st.integers(1, 4))
    def release(self, most: int) -> None:
        self.released += [chunk.id for chunk in self.store.batches.release("dock", most)]
        order = {chunk.id: place for place, chunk in enumerate(c for work in self.order for c in work.chunks())}
        places = [order[chunk_id] for chunk_id in self.released]
        assert all(before < after for before, after in pairwise(places)), "each chunk once, and in order"

    @rule(limit=st.integers(1, 5), crash=st.booleans())
    def reduce(self, limit: int, crash: bool) -> None:
        ready = self.store.streams.finished("dock", limit)
        if ready and not crash:
            assert commit(self.store, "dock", ready) is not Committed.CONFLICT

    @invariant()
    def frames_have_entered_once_and_in_order(self) -> None:
        found = kept(self.store, "dock")
        clean = [
            (chunk.source.uri, float(t))
            for work in self.order
            for chunk in work.chunks()
            for t in chunk_features(chunk).times
        ]
        assert found == clean[: len(found)]

    def teardown(self) -> None:
        for work in self.order:
            for chunk in work.chunks():
                self.store.chunks.finish(chunk, chunk_features(chunk))
        while ready := self.store.streams.finished("dock", 3):
            commit(self.store, "dock", ready)
        self.frames_have_entered_once_and_in_order()
        assert self.store.streams.pending("dock") == 0
        complete = [e for e in self.store.event_log.events() if e.type is EventType.BATCH_COMPLETE]
        assert len(complete) == len(self.order), "each batch is announced as complete exactly once"
        assert not self.store.client.keys("*:chunk:*"), "nothing of a reduced chunk is left behind"
        self.store.client.close()


def test_any_interleaving_of_deliveries_equals_one_clean_run(redis_server: RedisServer) -> None:
    Deliveries.server = redis_server
    case = Deliveries.TestCase
    case.settings = hypothesis_settings(
        max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )
    case("runTest").runTest()
