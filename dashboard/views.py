"""What the API answers with, beside the contracts themselves."""

from __future__ import annotations

from pydantic import Field

from common.baselines.report import StreamBinding
from common.contracts.batches import UnfinishedBatch
from common.contracts.decisions import GateOutcome
from common.contracts.golden import GoldenRecord, WaitingStream
from common.contracts.ids import Message
from common.contracts.incidents import Incident
from common.contracts.models import ChampionRecord, RetrainReport
from common.contracts.pictures import IncidentPictures, PictureNote, StreamPictures
from common.contracts.policy import Response
from common.contracts.processes import ProcessHealth
from common.contracts.verdicts import Cause, Status, Verdict
from common.incident_story import Moment
from common.queries import DeadLetterGroup, ModelStatus, OpenIncident, StreamStatus
from dashboard.history import Point


class Tile(Message):
    """A stream in the fleet."""

    stream: str
    status: Status | None = Field(description="of the latest verdict; None before the first window is full")
    cause: str | None
    response: Response | None = Field(description="what the policy calls for; None on PASS")
    drift_score: float | None
    provisional: bool
    confirmed: bool
    pending_chunks: int
    seconds_since_last_frame: float | None
    incidents: tuple[OpenIncident, ...]
    asks: str = Field(description="what a person has to answer before it learns; empty: nothing")
    day: str = Field(
        description="a letter for each half hour of the last day: n no verdict, p passed, o passed as healed or "
        "provisional, f one failed"
    )
    picture: str | None = Field(description="id of its latest picture; None: none is kept")


class Fleet(Message):
    """All streams, those that fail first."""

    now: float = Field(description="seconds since the epoch")
    tiles: tuple[Tile, ...]
    waiting: tuple[WaitingStream, ...] = Field(description="streams that wait for a golden baseline")


class StreamView(Message):
    """One stream."""

    now: float
    status: StreamStatus
    binding: StreamBinding | None = Field(description="None: what it is bound to cannot be said now, see `unbound`")
    unbound: str = Field("", description="why not; empty: it can")
    verdict: Verdict | None
    advice: str = Field(description="what to do about its cause; empty: nothing")
    resolution: str = Field(description="what pictures of another size mean; empty: they have golden's")
    coverage: tuple[tuple[str, str], ...] = Field(description="what it has learned, as names and values")
    history: tuple[str, ...] = Field(description="what people accepted and undid, in words, oldest first")
    incidents: tuple[Incident, ...] = Field(description="open ones first, then the closed ones, the latest first")
    pictures: StreamPictures
    threshold: float = Field(description="FAIL needs a drift score above this")
    p_value: float = Field(description="FAIL needs a p-value below this")
    points: tuple[Point, ...] = Field(description="its latest verdicts, oldest first")
    dead_letters: tuple[DeadLetterGroup, ...] = Field(description="about it, among the latest 1000 of all, summed up")


class DecisionView(Message):
    """One decision of the gate."""

    number: int
    outcome: GateOutcome
    reason: str
    made_at: float
    champion: int = Field(description="version that the challenger was compared with")
    gain_db: float
    loss_db: float
    cause: str
    incidents: tuple[str, ...]
    actions: tuple[str, ...]
    picture: bool = Field(description="whether there is a picture of the worst, median and best examples")


class IncidentView(Message):
    """One incident, as a story."""

    now: float
    incident: Incident
    moments: tuple[Moment, ...] = Field(description="what happened when, oldest first")
    retraining: RetrainReport | None = Field(description="last report of the retraining that works on it; None: none")
    decisions: tuple[DecisionView, ...] = Field(description="of the gate, about challengers made for it")
    pictures: IncidentPictures
    reference: PictureNote | None = Field(description="what the stream looks like when nothing is wrong")
    present: PictureNote | None = Field(description="what the stream shows now")
    times: str = Field(description="how often it came within a week; empty: once")
    advice: str
    copes: str = Field(description="whether the model copes with the footage; empty: nobody knows")


class ModelView(Message):
    """One model: its versions and the gate's decisions about it."""

    status: ModelStatus
    previous: int | None = Field(description="version that a rollback would make champion; None: there is none")
    history: tuple[ChampionRecord, ...] = Field(description="every version, oldest first")
    decisions: tuple[DecisionView, ...] = Field(description="that are kept, oldest first")


class StackView(Message):
    """Processes, queues, and where work is."""

    now: float
    version: str = Field(description="of Sentinel, as the process that answers has it")
    redis_url: str = Field(description="without its password")
    processes: tuple[ProcessHealth, ...]
    queues: dict[str, int] = Field(description="waiting tasks, by queue")
    batches: tuple[UnfinishedBatch, ...] = Field(description="that are under way, of at most 50 streams")
    dead_letters: int
    dead_letter_groups: tuple[DeadLetterGroup, ...] = Field(description="the latest 1000, summed up")
    flower_host: str
    flower_port: int


class Acceptance(Message):
    """What would become golden if a person said so."""

    stream: str
    frames: int
    incidents: int
    taken: tuple[float, float] | None = Field(description="capture times of first and last frame; None: unknown")
    causes: dict[Cause, int] = Field(description="what the judge saw in it, in windows")
    golden: str = Field(description="name of what is golden now")
    adds: bool = Field(description="whether what was learned stays, and this is added")
    blind: str = Field(description="what it shows in which nothing can be seen; empty: there is none")


class Done(Message):
    """What an action did, in words."""

    said: str
    record: GoldenRecord | None = Field(None, description="of an acceptance, or of one that was undone")
    champion: ChampionRecord | None = Field(None, description="of a rollback or promotion")
