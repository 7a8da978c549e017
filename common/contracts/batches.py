"""Sources, batches and chunks: how frames come in."""

from __future__ import annotations

import json
from bisect import bisect_left
from enum import StrEnum

from pydantic import Field

from common.contracts.ids import Message, StreamName, content_id
from common.contracts.stored import Fields, StoredMessage
from common.features import TimeSource


class SourceKind(StrEnum):
    VIDEO = "video"
    """One video file."""
    IMAGE = "image"
    """One still image: a batch of one frame."""
    FOLDER = "folder"
    """A folder of images, in natural order of their names: one batch."""


class Source(Message):
    """Where frames come from, and which content was accepted.

    Whoever reads it compares: a file that was rewritten since is refused, see `common.sources.identity`.
    """

    uri: str = Field(min_length=1, max_length=4096, description="a path or file URI")
    kind: SourceKind
    size: int = Field(ge=0, description="bytes")
    digest: str = Field(description="of the content; of a folder, of its images' names, sizes and contents")
    names: tuple[str, ...] = Field((), description="of a folder's images, in their order; in a chunk just its own")
    digests: tuple[str, ...] = Field((), description="of those images' contents; version 0.1 kept none")
    version: str = Field("", description="of a video, what the file system said of it; saves reading it for its digest")
    taken_at: float | None = Field(None, description="capture time of its first frame, seconds since the epoch")
    still_times: tuple[float, ...] = Field((), description="of a folder, the capture time of each of `names`")
    time_source: TimeSource = Field(TimeSource.UNKNOWN, description="how the capture times are known")


class FeatureSpec(Message):
    """How features are made. Features of different feature specs must never be compared.

    A baseline carries the feature spec it was made with, a chunk carries that of the
    baseline it will be judged by, and a worker refuses what it cannot reproduce.
    """

    backbone: str
    weights: str = Field(description="digest of the weights that were loaded")
    precision: str
    decode_pipeline: str = Field(description="name and version of what turns bytes into pixels")
    sensors: str = Field(description="version and names of the camera-quality sensors")
    sample_fps: float | None = Field(gt=0, description="frames per second; None: every frame")

    def digest(self, *beside: str) -> bytes:
        """Return 16 bytes that are equal for equal specs and equal texts `beside` them.

        Stored windows carry this digest, so it is computed over the JSON of
        version 0.1, whatever the fields are called now.
        """
        fields = self.model_dump()
        fields["route"] = fields.pop("decode_pipeline")
        ordered = {name: fields[name] for name in _SPEC_ORDER}
        text = json.dumps(ordered, separators=(",", ":"), ensure_ascii=False)
        return bytes.fromhex(content_id(text, *beside)[:32])


_SPEC_ORDER = ("backbone", "weights", "precision", "route", "sensors", "sample_fps")


class Chunk(StoredMessage):
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
    feature_spec: FeatureSpec
    batch_frames: int = Field(ge=1, description="sampled frames that the whole batch promises")
    opens_batch: bool
    closes_batch: bool

    @classmethod
    def from_format_1(cls, fields: Fields) -> Fields:
        return _with_feature_spec(fields)


class FrameBatch(StoredMessage):
    """What a producer accepted: one source of one stream, and how it is sampled and split.

    A whole source starts at frame 0 and is read to its end (`stop` of None); a
    batch may also be a part of one.
    """

    id: str
    stream: StreamName
    source: Source
    expected_frames: int = Field(ge=1, description="sampled frames that its packets or its listing promise")
    starts: tuple[int, ...] = Field(min_length=1, description="sampled frames at which chunks start, ascending")
    feature_spec: FeatureSpec
    received_at: float = Field(description="seconds since the epoch")
    stop: int | None = Field(None, gt=0)

    @classmethod
    def from_format_1(cls, fields: Fields) -> Fields:
        return _with_feature_spec(fields)

    def chunks(self) -> tuple[Chunk, ...]:
        """Return all chunks in order; the last one ends where the batch does."""
        return tuple(self.chunk(number) for number in range(len(self.starts)))

    def chunk(self, number: int) -> Chunk:
        """Return chunk `number`, from 0."""
        last = number == len(self.starts) - 1
        start, stop = self.starts[number], self.stop if last else self.starts[number + 1]
        # A chunk of a folder names its images, so that one that arrives late cannot shift the others.
        first = self.starts[0]
        own = slice(start - first, None if stop is None else stop - first)
        parts = {
            "names": self.source.names[own],
            "digests": self.source.digests[own],
            "still_times": self.source.still_times[own],
        }
        return Chunk(
            id=f"{self.id}-{start}",
            batch_id=self.id,
            stream=self.stream,
            source=self.source.model_copy(update=parts),
            start=start,
            stop=stop,
            feature_spec=self.feature_spec,
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


def _with_feature_spec(fields: Fields) -> Fields:
    """Return the fields of a batch or chunk of format 1, whose feature spec was called its recipe."""
    recipe = dict(fields["recipe"])
    recipe["decode_pipeline"] = recipe.pop("route")
    return {**{name: value for name, value in fields.items() if name != "recipe"}, "feature_spec": recipe}


class Submission(StrEnum):
    """What became of a source that a producer handed in."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    """The stream has had this content before; nothing was counted again."""
    REJECTED = "rejected"
    """It can never be judged as it is; the dead letters say why."""
    CHANGED = "changed"
    """A folder that was accepted before with other images: hand in its images one by one, the known ones too."""


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
