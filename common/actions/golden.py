"""A person's word that the present is the new normal, with the reducer told at once."""

from __future__ import annotations

from common import broker
from common.baselines import acceptance
from common.baselines.acceptance import Proposal
from common.baselines.binding import BaselineBinding
from common.contracts.golden import GoldenRecord
from common.contracts.verdicts import Cause
from common.settings import Settings
from common.store import Store

BLIND = {
    Cause.BLACK: "a black picture",
    Cause.FROZEN: "a picture that stands still",
    Cause.COVERED: "a covered lens",
}
"""Causes of footage in which nothing can be seen: once it is normal, the camera is blind and nothing says so."""


def propose(store: Store, settings: Settings, stream: str, incident: str = "") -> Proposal:
    """Return what `accept` would make golden; see `common.baselines.acceptance.propose`."""
    return acceptance.propose(store, BaselineBinding(settings, store), stream, incident)


def blind_windows(proposal: Proposal) -> dict[Cause, int]:
    """Return cause -> windows of those in which nothing can be seen."""
    return {cause: count for cause, count in proposal.footage.causes.items() if cause in BLIND}


def sight_text(blind: dict[Cause, int]) -> str:
    """Return what footage shows in which nothing can be seen; empty if there is none."""
    return " and ".join(f"{BLIND[cause]} ({count} windows)" for cause, count in sorted(blind.items()))


def accept(store: Store, settings: Settings, proposal: Proposal, *, by: str, why: str) -> GoldenRecord:
    """Make what was proposed golden; see `common.baselines.acceptance.accept`."""
    record = acceptance.accept(store, settings, proposal, by=by, why=why)
    broker.send_reduce(proposal.stream)
    return record


def undo(store: Store, settings: Settings, stream: str, *, by: str, why: str) -> GoldenRecord:
    """Take the last acceptance back; see `common.baselines.acceptance.undo`."""
    record = acceptance.undo(store, BaselineBinding(settings, store), stream, by=by, why=why)
    broker.send_reduce(stream)
    return record
