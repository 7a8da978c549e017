"""What travels between rooms, processes and machines: frozen, typed, validated.

Two kinds live here. `Message` subclasses go over the wire as JSON and are
validated on arrival. `FeatureBlock` holds arrays: it never rides in a message,
only as one binary value under a Redis key (`to_bytes`, `from_bytes`).
"""

from __future__ import annotations

import hashlib
import io
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Self

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from common.errors import BadMessage

FloatArray = npt.NDArray[np.float32]
TimeArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int32]
Image = npt.NDArray[np.uint8]
"""One frame: (height, width, 3), RGB, 8 bit."""

_MAX_STREAM_NAME = 200  # leaves room for prefix and suffix in a Redis key one can still read
_ID_HEX_DIGITS = 32  # 128 bits: no two contents meet by accident


def check_stream_name(name: str) -> str:
    """Return `name` in NFC form, or raise `ValueError` saying what a stream may be called.

    A stream may be nested (`site/dock 3`) and in any script. Braces are Redis
    hash tags, and control characters break terminals and logs.
    """
    name = unicodedata.normalize("NFC", name)
    parts = name.split("/")
    if not name or len(name) > _MAX_STREAM_NAME:
        raise ValueError(f"a stream name has 1 to {_MAX_STREAM_NAME} characters, this has {len(name)}")
    if any(part in {"", ".", ".."} for part in parts):
        raise ValueError(f"stream name {name!r} has an empty, '.' or '..' part")
    if any(c in "{}\\" or unicodedata.category(c).startswith("C") for c in name):
        raise ValueError(f"stream name {name!r} has braces, a backslash or a control character")
    return name


StreamName = Annotated[str, AfterValidator(check_stream_name)]


def content_id(*parts: str | int | float | None) -> str:
    """Return an id derived from `parts`: equal parts give an equal id, on every machine."""
    digest = hashlib.blake2b(digest_size=_ID_HEX_DIGITS // 2)
    for part in parts:
        encoded = repr(part).encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()


class Message(BaseModel):
    """Base of everything that is sent: immutable, and unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> str:
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Parse and validate; raise `BadMessage` naming the fields that are wrong."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise BadMessage(f"not a {cls.__name__}: {describe(error)}") from error


def describe(error: ValidationError) -> str:
    """Name each wrong field with what is wrong with it, on one line."""
    return "; ".join(
        f"{'.'.join(str(step) for step in row['loc']) or 'message'}: {row['msg']}" for row in error.errors()
    )


# --- frames on their way in ---------------------------------------------------------------------


class SourceKind(StrEnum):
    VIDEO = "video"
    """One video file."""
    IMAGE = "image"
    """One still image: a batch of one frame."""
    FOLDER = "folder"
    """A folder of images, in natural order of their names: one batch."""


class Source(Message):
    """Where frames come from. `uri` is a path or URL that fsspec understands."""

    uri: str = Field(min_length=1, max_length=4096)
    kind: SourceKind
    size: int = Field(ge=0, description="bytes")
    digest: str = Field(description="of the content, see `content_id`")
    names: tuple[str, ...] = Field((), description="of a folder's images, in their order; in a chunk just its own")


class Recipe(Message):
    """How features are made. Features of different recipes must never be compared.

    A baseline carries the recipe it was made with, a chunk carries that of the
    baseline it will be judged by, and a worker refuses what it cannot reproduce.
    """

    backbone: str
    weights: str = Field(description="digest of the weights that were loaded")
    precision: str
    route: str = Field(description="name and version of the decode and resize route")
    sensors: str = Field(description="version and names of the camera-quality sensors")
    sample_fps: float | None = Field(gt=0, description="frames a second; None: every frame")


class Chunk(Message):
    """A range of one batch: the unit of work of an embedding worker.

    `start` and `stop` count sampled frames from the start of the source.
    `stop` of None means to the end, because a container's header is only a
    promise of how long the video is.
    """

    id: str
    batch_id: str
    stream: StreamName
    source: Source
    start: int = Field(ge=0)
    stop: int | None = Field(gt=0)
    recipe: Recipe
    batch_frames: int = Field(ge=1, description="sampled frames that the whole batch promises")
    opens_batch: bool
    closes_batch: bool


class FrameBatch(Message):
    """What a producer accepted: one source of one stream, and how it is sampled and split.

    A whole source starts at frame 0 and is read to its end (`stop` of None); a
    batch may also be a part of one.
    """

    id: str
    stream: StreamName
    source: Source
    expected_frames: int = Field(ge=1, description="sampled frames that its packets or its listing promise")
    starts: tuple[int, ...] = Field(min_length=1, description="sampled frames at which chunks start, ascending")
    recipe: Recipe
    received_at: float = Field(description="seconds since the epoch")
    stop: int | None = Field(None, gt=0)

    def chunks(self) -> tuple[Chunk, ...]:
        """Return all chunks in order; the last one ends where the batch does."""
        return tuple(self.chunk(number) for number in range(len(self.starts)))

    def chunk(self, number: int) -> Chunk:
        """Return chunk `number`, from 0."""
        last = number == len(self.starts) - 1
        start, stop = self.starts[number], self.stop if last else self.starts[number + 1]
        # A chunk of a folder names its images, so that one that arrives late cannot shift the others.
        first = self.starts[0]
        names = self.source.names[start - first : None if stop is None else stop - first]
        return Chunk(
            id=f"{self.id}-{start}",
            batch_id=self.id,
            stream=self.stream,
            source=self.source.model_copy(update={"names": names}),
            start=start,
            stop=stop,
            recipe=self.recipe,
            batch_frames=self.expected_frames,
            opens_batch=number == 0,
            closes_batch=last,
        )

    def chunk_at(self, chunk_id: str) -> Chunk | None:
        """Return the chunk with this id, or None if the batch has none."""
        start = chunk_id.rpartition("-")[2]
        number = bisect_left(self.starts, int(start)) if start.isdigit() else len(self.starts)
        found = number < len(self.starts) and f"{self.id}-{self.starts[number]}" == chunk_id
        return self.chunk(number) if found else None


class Submission(StrEnum):
    """What became of a source that a producer handed in."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    """The stream has had this content before; nothing was counted again."""
    REJECTED = "rejected"
    """It can never be judged as it is; the dead letters say why."""
    CHANGED = "changed"
    """A folder that was accepted before with other images: hand in its images one by one, the known ones too."""


# --- what is announced ------------------------------------------------------------------------------


FRAME_EVENT = "io.sentinel.frame.v1"
"""Type of the events that cameras write to `sentinel:ingest`."""


class EventType(StrEnum):
    """Types of entries on the Stream `sentinel:events`."""

    VERDICT_PASS = "io.sentinel.verdict.pass.v1"
    VERDICT_FAIL = "io.sentinel.verdict.fail.v1"
    BATCH_COMPLETE = "io.sentinel.batch.complete.v1"
    STREAM_CHECKED = "io.sentinel.stream.checked.v1"
    RETRAIN_STARTED = "io.sentinel.retrain.started.v1"
    RETRAIN_PROGRESS = "io.sentinel.retrain.progress.v1"
    CHAMPION_PROMOTED = "io.sentinel.champion.promoted.v1"
    CHALLENGER_REJECTED = "io.sentinel.challenger.rejected.v1"


class Event(Message):
    """One entry of `sentinel:events`. `entry_id` is the Stream's own id, set when read."""

    id: str
    type: EventType
    time: float = Field(description="seconds since the epoch")
    stream: str = Field(description="the stream that it is about; empty where it is about a model")
    model: str
    data: str = Field(description="JSON of the message that the type names")
    entry_id: str = ""


class DeadLetterKind(StrEnum):
    """What kind of work ended as a dead letter; it decides how a retry is made."""

    SOURCE = "source"
    """A file or folder that a producer could not accept. Retry: hand it in again."""
    EVENT = "event"
    """A camera event that broke its contract. Retry: put it on `sentinel:ingest` again."""
    CHUNK = "chunk"
    """A chunk that a worker could not embed. Retry: a new batch of just its frames."""
    TASK = "task"
    """A Celery task that no worker could make sense of. Retry: send it again."""


class RawTask(Message):
    """A Celery task as it was sent."""

    name: str
    queue: str
    args: str = Field(description="JSON")
    kwargs: str = Field(description="JSON")


class DeadLetter(Message):
    """Work that was given up, with its reason and everything needed to try it again."""

    id: str = Field(description="content id: the same trouble with the same content is one letter")
    kind: DeadLetterKind
    stream: str
    subject: str = Field(description="the file, URI or event that it is about")
    reason: str
    original: str = Field(description="JSON of what was given up")
    traceback: str = ""
    time: float = Field(description="seconds since the epoch")
    entry_id: str = ""


class SourceRequest(Message):
    """A source that somebody asks to have judged: the original of a SOURCE dead letter."""

    stream: str
    uri: str


class BatchReport(Message):
    """How a batch ended: the data of a BATCH_COMPLETE event."""

    batch_id: str
    stream: str
    uri: str
    frames: int = Field(ge=0, description="sampled frames that entered the stream's windows")
    dead_chunks: int = Field(ge=0, description="chunks given up; more than 0: the batch was judged in part")


class StreamCheck(Message):
    """What the daily check found: the data of a STREAM_CHECKED event."""

    stream: str
    state: str = Field(description="PASS, FAIL, SILENT or NO_WINDOW")
    hours_since_last_frame: float
    pending_chunks: int
    drift_score: float | None


# --- champions --------------------------------------------------------------------------------------


class ChampionRecord(Message):
    """One version in a model's append-only history. Model and baseline are switched together."""

    model: str
    version: int = Field(ge=1)
    baseline_path: str = Field(description="folder of the baseline that its streams are judged by")
    baseline_id: str
    model_path: str | None = Field(description="folder of the model's weights; None: as it was built")
    origin_id: str = Field(description="digest of the golden baseline that this line of champions started from")
    parent: int | None = Field(description="version that it replaced")
    reason: str
    gain_db: float | None = Field(description="gain over its parent on drifted footage, dB PSNR")
    loss_db: float | None = Field(description="loss against its parent on golden footage, dB PSNR")
    created_at: float


class RetrainReport(Message):
    """Where a retraining stands or how it ended."""

    model: str
    stage: str
    progress: float = Field(ge=0, le=1)
    detail: str
    merged_fails: int = Field(ge=0)


# --- features -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class FeatureBlock:
    """Features of n consecutive sampled frames, with where each frame came from.

    Attributes
    ----------
    embedding : (n, d) float32, the backbone's view
    quality : (n, q) float32, the camera-quality sensors' view at native resolution
    times : (n,) float64, seconds from the start of the frame's source
    sources : URIs of the sources that the frames came from
    source_index : (n,) int32, which of `sources` each frame came from
    """

    embedding: FloatArray
    quality: FloatArray
    times: TimeArray
    sources: tuple[str, ...]
    source_index: IndexArray

    def __post_init__(self) -> None:
        n = len(self.times)
        if self.embedding.ndim != 2 or self.quality.ndim != 2:
            raise BadMessage("features must be two-dimensional: (frames, features)")
        if not n == len(self.embedding) == len(self.quality) == len(self.source_index):
            raise BadMessage("features, times and sources differ in their number of frames")
        if n and not 0 <= int(self.source_index.min()) <= int(self.source_index.max()) < len(self.sources):
            raise BadMessage("a frame names a source that is not listed")

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, frames: slice) -> FeatureBlock:
        return FeatureBlock(
            self.embedding[frames], self.quality[frames], self.times[frames], self.sources, self.source_index[frames]
        )._compact()

    def source_of(self, frame: int) -> str:
        return self.sources[int(self.source_index[frame])]

    def _compact(self) -> FeatureBlock:
        """Drop sources that no frame names, so that a long-lived window does not collect them."""
        used = sorted({int(i) for i in self.source_index})
        if len(used) == len(self.sources):
            return self
        renumber = np.zeros(max(len(self.sources), 1), dtype=np.int32)
        renumber[used] = np.arange(len(used), dtype=np.int32)
        names = tuple(self.sources[i] for i in used)
        return FeatureBlock(self.embedding, self.quality, self.times, names, renumber[self.source_index])

    @classmethod
    def empty(cls, embedding_size: int, quality_size: int) -> FeatureBlock:
        return cls(
            np.zeros((0, embedding_size), np.float32),
            np.zeros((0, quality_size), np.float32),
            np.zeros(0, np.float64),
            (),
            np.zeros(0, np.int32),
        )

    @classmethod
    def concatenate(cls, blocks: Sequence[FeatureBlock]) -> FeatureBlock:
        """Join blocks in order; raise `BadMessage` where their widths differ."""
        if not blocks:
            raise BadMessage("no features to join")
        widths = {(b.embedding.shape[1], b.quality.shape[1]) for b in blocks}
        if len(widths) > 1:
            raise BadMessage(f"features of different widths cannot be joined: {sorted(widths)}")
        names: dict[str, int] = {}
        columns = []
        for block in blocks:
            renumber = np.array([names.setdefault(uri, len(names)) for uri in block.sources] or [0], dtype=np.int32)
            columns.append(renumber[block.source_index])
        return cls(
            np.concatenate([b.embedding for b in blocks]),
            np.concatenate([b.quality for b in blocks]),
            np.concatenate([b.times for b in blocks]),
            tuple(names),
            np.concatenate(columns),
        )

    def to_bytes(self) -> bytes:
        """Encode as an uncompressed npz. Embeddings travel as float16 (MEASURED: nothing is lost that matters)."""
        buffer = io.BytesIO()
        np.savez(
            buffer,
            embedding=self.embedding.astype(np.float16),
            quality=self.quality,
            times=self.times,
            sources=np.array(self.sources, dtype=np.str_),
            source_index=self.source_index,
        )
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> FeatureBlock:
        """Decode what `to_bytes` made; raise `BadMessage` for anything else. Never unpickles."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                return cls(
                    arrays["embedding"].astype(np.float32),
                    arrays["quality"].astype(np.float32),
                    arrays["times"].astype(np.float64),
                    tuple(str(uri) for uri in arrays["sources"]),
                    arrays["source_index"].astype(np.int32),
                )
        except (ValueError, KeyError, OSError, EOFError) as error:
            raise BadMessage(f"stored features cannot be read: {error}") from error

    def as_stored(self) -> FeatureBlock:
        """Return the block as it reads back from storage, so that `check` and the queues judge equal numbers."""
        half = self.embedding.astype(np.float16).astype(np.float32)
        return FeatureBlock(half, self.quality, self.times, self.sources, self.source_index)


# --- verdicts -------------------------------------------------------------------------------------


class Status(StrEnum):
    PASS = "PASS"
    FAIL = "FAIL"


class Cause(StrEnum):
    """Why a window failed, as far as the features tell."""

    NOISE = "noise"
    BLUR = "blur"
    LOW_LIGHT = "low_light"
    OVER_EXPOSURE = "over_exposure"
    COMPRESSION = "compression"
    COLOUR_CAST = "colour_cast"
    LOW_CONTRAST = "low_contrast"
    FROZEN = "frozen"
    BLACK = "black"
    COVERED = "covered"
    CAMERA_MOVED = "camera_moved"
    NEW_CONTENT = "new_content"
    """The picture is technically sound; what it shows is new to the baseline."""
    UNKNOWN = "unknown"

    @property
    def remedy(self) -> Remedy:
        """What helps: a hand at the camera where the data went bad, training where the world changed."""
        return Remedy.TRAINING if self in {Cause.NEW_CONTENT, Cause.UNKNOWN} else Remedy.CAMERA


class Remedy(StrEnum):
    """What a failed window calls for."""

    CAMERA = "camera"
    """The data went bad: somebody has to look at the camera, its light, lens, mount or encoder."""
    TRAINING = "training"
    """The world changed: the model has to learn it."""


class FeatureShift(Message):
    """One feature that moved: its name, its shift in units of the baseline's spread, and its share of the score."""

    feature: str
    shift: float = Field(description="signed, in the baseline's robust standard deviations")
    baseline_value: float
    window_value: float


class ViewScore(Message):
    """What one view (embedding, quality, later others) says of a window."""

    view: str
    drift_score: float = Field(ge=0, le=1)
    p_value: float = Field(ge=0, le=1)
    distance: float = Field(ge=0, description="Wasserstein distance in units of the baseline's spread")
    bound: float = Field(ge=0, description="the distance that the baseline's own variation explains")


class WorstFrame(Message):
    """A frame of the window that lies farthest from the baseline."""

    source: str
    time: float = Field(description="seconds from the start of the source")
    distance: float


class FrameTime(Message):
    """A frame, by its source and its time."""

    source: str
    time: float = Field(description="seconds from the start of the source")


class Judgement(Message):
    """What the judge says of one window of features, before it is placed in a stream."""

    status: Status
    drift_score: float = Field(ge=0, le=1)
    p_value: float = Field(ge=0, le=1)
    cause: Cause | None = Field(description="None on PASS")
    remedy: Remedy | None = Field(None, description="None on PASS")
    began: FrameTime | None = Field(
        None, description="first frame of the change; the window's first if it began before; None on PASS"
    )
    regime: str = Field(description="the part of the baseline that the window resembles most")
    views: tuple[ViewScore, ...]
    leading_features: tuple[FeatureShift, ...]
    worst_frames: tuple[WorstFrame, ...]


class Verdict(Judgement):
    """A judgement with its place: which stream, which frames, against which baseline."""

    id: str
    stream: StreamName
    baseline: str = Field(description="name of the baseline")
    baseline_id: str = Field(description="digest of the baseline's content")
    start: int = Field(ge=0, description="position of the window's first frame in the stream, in sampled frames")
    stop: int = Field(gt=0, description="position after the window's last frame")
    start_time: float = Field(description="seconds from the start of the first frame's source")
    stop_time: float = Field(description="seconds from the start of the last frame's source")
    sources: tuple[str, ...]
    failing_since: int | None = Field(
        None, description="position of the first frame of the first FAIL since the last PASS; None on PASS"
    )
    confirmed: bool = Field(
        False, description="the FAILs since then are more than SENTINEL_FALSE_ALARMS_PER_DAY accidents would be"
    )

    @classmethod
    def place(
        cls,
        judgement: Judgement,
        window: FeatureBlock,
        *,
        stream: str,
        baseline: str,
        baseline_id: str,
        stop: int,
        failing_since: int | None,
        confirmed: bool,
    ) -> Verdict:
        """Place `judgement` of `window` in its stream; the id follows from the place and the baseline."""
        start = stop - len(window)
        return cls(
            **dict(judgement),
            id=content_id(stream, baseline_id, start, stop),
            stream=stream,
            baseline=baseline,
            baseline_id=baseline_id,
            start=start,
            stop=stop,
            start_time=float(window.times[0]),
            stop_time=float(window.times[-1]),
            sources=window.sources,
            failing_since=failing_since,
            confirmed=confirmed,
        )


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict that speaks for all: the highest-scoring FAIL, else the highest-scoring PASS."""
    return max(verdicts, key=lambda v: (v.status is Status.FAIL, v.drift_score, -v.p_value))
