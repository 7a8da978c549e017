"""What people do on the page, each by POST; `common.actions` does it, as for the command line."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import AfterValidator, Field

from common.actions import golden
from common.actions.dead_letters import Retried, chosen_letters, retry_letters
from common.actions.incidents import acknowledge, incident_of_id, mute
from common.contracts.ids import Message, StreamName
from common.durations import LONGEST_MUTE_SECONDS, duration_text
from common.errors import NotAccepted
from common.models.registry import release
from common.moments import clock
from common.printable import encodable
from common.settings import Settings
from common.store import Store
from dashboard.views import Acceptance, Done

_LONGEST_TEXT = 500  # characters of a name or a reason that are kept
_SOMEBODY = "somebody at the page"


def _kept(text: str) -> str:
    return encodable(text.strip())[:_LONGEST_TEXT]


Text = Annotated[str, Field(max_length=10_000), AfterValidator(_kept)]
Id = Annotated[str, Field(min_length=1, max_length=200)]


class By(Message):
    """Who says so; the history names them."""

    by: Text = ""

    @property
    def person(self) -> str:
        return self.by or _SOMEBODY


class Acknowledge(By):
    incident: Id


class Accept(By):
    stream: StreamName
    incident: str = Field("", description="id of one incident; empty: all that are open")
    why: Text = ""
    even_blind: bool = Field(False, description="accept footage in which nothing can be seen all the same")


class Undo(By):
    stream: StreamName
    why: Text = ""


class MuteStream(By):
    stream: StreamName
    seconds: float = Field(ge=0, le=LONGEST_MUTE_SECONDS, description="0 ends the mute")


class Retry(Message):
    letter: str = Field("", max_length=200, description="id of a dead letter; empty: all")


class Model(By):
    model: Id


class Promote(Model):
    version: int = Field(ge=1)


def action_routes(store: Store, settings: Settings) -> APIRouter:
    """Return the routes of all actions."""
    router = APIRouter(prefix="/api/actions", tags=["actions"])

    @router.post("/acknowledge")
    def acknowledge_incident(wanted: Acknowledge) -> Done:
        """Note that a person has seen an incident."""
        incident = incident_of_id(store, wanted.incident)
        acknowledge(store, incident, by=wanted.person)
        return Done(said=f"acknowledged by {wanted.person}")

    @router.post("/mute")
    def mute_stream(wanted: MuteStream) -> Done:
        """Announce no incidents of a stream for a time."""
        until = mute(store, wanted.stream, wanted.seconds, by=wanted.person)
        if until is None:
            return Done(said="no longer muted")
        return Done(said=f"muted for {duration_text(wanted.seconds)}, until {clock(until)}")

    @router.post("/accept")
    def accept_as_normal(wanted: Accept) -> Done:
        """Make the footage of a stream's incidents its golden baseline."""
        proposal = golden.propose(store, settings, wanted.stream, wanted.incident)
        sight = golden.sight_text(golden.blind_windows(proposal))
        if sight and not wanted.even_blind:
            raise NotAccepted(f"this footage shows {sight}: look at the camera first, or accept it all the same")
        record = golden.accept(store, settings, proposal, by=wanted.person, why=wanted.why)
        return Done(said=f"stream {wanted.stream} is judged by what was accepted from now on", record=record)

    @router.post("/undo")
    def undo_acceptance(wanted: Undo) -> Done:
        """Take the last acceptance of a stream back."""
        record = golden.undo(store, settings, wanted.stream, by=wanted.person, why=wanted.why)
        return Done(said=f"acceptance {record.undoes} of stream {wanted.stream} is undone", record=record)

    @router.post("/retry")
    def retry_dead_letters(wanted: Retry) -> list[Retried]:
        """Try given-up work again; what fails again comes back with its new reason."""
        return list(retry_letters(store, settings, chosen_letters(store, wanted.letter)))

    @router.post("/rollback")
    def roll_back(wanted: Model) -> Done:
        """Go one version of a model further back, and hold the model there. It takes a few seconds per condition."""
        from common.actions import champions

        record, dropped = champions.roll_back(store, wanted.model, by=wanted.person, say=_quiet)
        return Done(said=_chosen(record.version, len(dropped)), champion=record)

    @router.post("/promote")
    def promote(wanted: Promote) -> Done:
        """Make an earlier version of a model champion again, and hold the model there."""
        from common.actions import champions

        record, dropped = champions.promote(store, wanted.model, wanted.version, by=wanted.person, say=_quiet)
        return Done(said=_chosen(record.version, len(dropped)), champion=record)

    @router.post("/release")
    def release_model(wanted: Model) -> Done:
        """End the hold of a rollback or a promotion by hand."""
        release(store, wanted.model)
        return Done(said=f"released: {store.champions.waiting_count(wanted.model)} streams wait for a retraining")

    return router


def acceptance(store: Store, settings: Settings, stream: str, incident: str) -> Acceptance:
    """Return what an acceptance would make golden, for the person who is to say yes."""
    proposal = golden.propose(store, settings, stream, incident)
    return Acceptance(
        stream=stream,
        frames=proposal.footage.frames,
        incidents=len(proposal.incidents),
        taken=proposal.footage.taken,
        causes=proposal.footage.causes,
        golden=proposal.golden.name,
        adds=proposal.footage.adds,
        blind=golden.sight_text(golden.blind_windows(proposal)),
    )


def _quiet(line: str) -> None:
    """Say nothing: the answer comes when all is proved."""


def _chosen(version: int, dropped: int) -> str:
    lost = f"; it is not proved on {dropped} conditions, whose footage FAILs again" if dropped else ""
    return f"v{version} is champion and held{lost}"
