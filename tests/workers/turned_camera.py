"""A camera that was turned, and a person who says that this is how it is to look."""

from __future__ import annotations

from common.baselines.acceptance import Proposal, accept, propose
from common.baselines.binding import BaselineBinding
from common.contracts.incidents import IncidentState
from common.contracts.verdicts import Status, Verdict
from common.settings import Settings
from common.store import Store
from tests.feeding import feed, normal, re_aimed


def statuses(found: list[Verdict]) -> set[Status]:
    return {verdict.status for verdict in found}


def turn(store: Store, binding: BaselineBinding, stream: str, *, seed: int = 3, frames: int = 160) -> None:
    """Let the camera of `stream` be turned: its windows fail, and an incident is open."""
    feed(store, binding, stream, normal(72, seed=2))
    assert Status.FAIL in statuses(feed(store, binding, stream, re_aimed(frames, seed=seed)))
    assert [row.state for row in store.streams.open_incidents(stream)] == [IncidentState.FAILING]


def accepted(store: Store, settings: Settings, binding: BaselineBinding, stream: str) -> Proposal:
    proposal = propose(store, binding, stream)
    accept(store, settings, proposal, by="ada", why="turned to the gate")
    return proposal
