"""Sources, batches and chunks: what is submitted, and how it is split into work."""

from __future__ import annotations

import json
from bisect import bisect_left
from enum import StrEnum

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from common.contracts.ids import Message, StreamName, content_id
from common.contracts.stored import Fields, StoredMessage
from common.contracts.zones import Zones
from common.features import TimeSource

FIRST_MODALITY = "video"
"""The modality of feature specs that name none: before 0.4 there was no other."""


class SourceKind(StrEnum):
    """What a source is. Modalities say which files are recordings and which are stills."""

    RECORDING = "recording"
    """One file of many samples, such as a video."""
    IMAGE = "image"
    """One still image, or another file of a single sample: a batch of one frame."""
    FOLDER = "folder"
    """A folder of such files, in natural order of their names: one batch."""


class Source(Message):
    """Where frames come from, and which content was accepted.

    Readers compare the content with it: a file that was rewritten since is refused (`common.sources.identity`).
    """

    uri: str = Field(min_length=1, max_length=4096, description="a path or file URI")
    kind: SourceKind
    size: int = Field(ge=0, description="bytes")
    digest: str = Field(description="digest of the content; for a folder, of its images' names, sizes and contents")
    names: tuple[str, ...] = Field((), description="names of a folder's images, in order; in a chunk only its own")
    digests: tuple[str, ...] = Field((), description="digests of those images' contents; version 0.1 kept none")
    version: str = Field("", description="for a recording, size, times and inode; while equal, it is not read again")
    taken_at: float | None = Field(None, description="capture time of its first frame, seconds since the epoch")
    still_times: tuple[float, ...] = Field((), description="for a folder, the capture time of each of `names`")
    time_source: TimeSource = Field(TimeSource.UNKNOWN, description="how the capture times are known")


class FeatureSpec(Message):
    """How features are made. Features made by different feature specs must never be compared.

    A modality without a backbone leaves `backbone`, `weights` and `precision` empty.
    A baseline carries the feature spec that it was made with. A chunk carries the
    feature spec of the baseline that it will be judged by. A worker refuses chunks
    whose feature spec it cannot reproduce.
    """

    backbone: str
    weights: str = Field(description="digest of the weights that were loaded")
    precision: str
    decode_pipeline: str = Field(description="name and version of what turns bytes into pixels")
    sensors: str = Field(description="version and names of the camera-quality sensors")
    sample_fps: float | None = Field(gt=0, description="frames per second; None: every frame")
    modality: str = Field(FIRST_MODALITY, description="entry point name of what makes samples and features of bytes")
    embed_every: int = Field(
        1, ge=1, description="sampled frames of a source of which the backbone sees one; 1: it sees every frame"
    )
    ignore: Zones = Field((), description="zones of the picture, in its shares, that features show nothing of")

    @model_serializer(mode="wrap")
    def _as_before(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave out what has the value that everything had before there was a choice.

        The digest of a stored baseline covers its feature spec, and stays what it was.
        """
        as_before = {name for name, value in _BEFORE_A_CHOICE.items() if getattr(self, name) == value}
        return {name: value for name, value in serialize(self).items() if name not in as_before}

    def embeds(self, index: int) -> bool:
        """Return whether the backbone sees the sampled frame at `index` of its source, counted from 0.

        It sees one of every `embed_every` frames, the first of a source among them. Its place varies, so that nothing
        that comes at a regular rhythm is always seen or never.

        Examples
        --------
        >>> spec = FeatureSpec(backbone="b", weights="w", precision="f32", decode_pipeline="p", sensors="s",
        ...                    sample_fps=None, embed_every=4)
        >>> [index for index in range(24) if spec.embeds(index)]
        [0, 5, 11, 14, 17, 23]
        """
        turn, place = divmod(index, self.embed_every)
        return place == (turn * _SPREADING % 2**32 >> 16) % self.embed_every

    def digest(self, *beside: str) -> bytes:
        """Return a digest of 16 bytes over the feature spec and the texts `beside`.

        Stored windows carry this digest, so it is computed over the field names
        of version 0.1 and does not change when a field is renamed. The modality is
        a part of it unless it is video, which was the only one before 0.4,
        `embed_every` unless it is 1, and `ignore` if there are zones.
        """
        fields = self.model_dump()
        fields["route"] = fields.pop("decode_pipeline")
        ordered = {name: fields[name] for name in _SPEC_ORDER}
        text = json.dumps(ordered, separators=(",", ":"), ensure_ascii=False)
        other: tuple[str, ...] = () if self.modality == FIRST_MODALITY else (self.modality,)
        if self.embed_every > 1:
            other = (*other, f"embed_every={self.embed_every}")
        if self.ignore:
            other = (*other, f"ignore={self.ignore}")
        return bytes.fromhex(content_id(text, *other, *beside)[:32])


_SPREADING = 2654435761  # Knuth's multiplier: the upper bits of its multiples look random
_BEFORE_A_CHOICE: dict[str, object] = {"embed_every": 1, "ignore": ()}
_SPEC_ORDER = ("backbone", "weights", "precision", "route", "sensors", "sample_fps")


_SPARSE = (
    "rate at which its source is sampled, frames per second, in place of its feature spec's: that of a live camera's "
    "key frames, while all is quiet; None: as the feature spec asks"
)


class Chunk(StoredMessage):
    """A range of one batch: the unit of work of an embedding worker.

    `start` and `stop` count sampled frames from the start of the source. A
    `stop` of None means the end of the source: the length in a container's
    header is not reliable.
    """

    id: str
    batch_id: str
    stream: StreamName
    source: Source
    start: int = Field(ge=0)
    stop: int | None = Field(gt=0)
    feature_spec: FeatureSpec
    batch_frames: int = Field(ge=1, description="sampled frames expected in the whole batch")
    opens_batch: bool
    closes_batch: bool
    sparse_fps: float | None = Field(None, gt=0, description=_SPARSE)
    ends_sparse: bool = Field(False, description="it is the last chunk of a batch that is sampled sparsely")

    @property
    def sample_fps(self) -> float | None:
        """Frames per second that are sampled of its source; None: every frame."""
        return self.feature_spec.sample_fps if self.sparse_fps is None else self.sparse_fps

    @classmethod
    def from_format_1(cls, fields: Fields) -> Fields:
        return _with_feature_spec(fields)

    @classmethod
    def from_format_3(cls, fields: Fields) -> Fields:
        return _with_recording(fields)


class FrameBatch(StoredMessage):
    """What a producer accepted: one source of one stream, and how it is sampled and split.

    For a whole source, `starts` begins with 0 and `stop` is None (read to the
    end). A retry of a chunk is a batch that covers only a part of a source.
    """

    id: str
    stream: StreamName
    source: Source
    expected_frames: int = Field(ge=1, description="sampled frames expected from its packets or its listing")
    starts: tuple[int, ...] = Field(min_length=1, description="sampled frames at which chunks start, ascending")
    feature_spec: FeatureSpec
    received_at: float = Field(description="seconds since the epoch")
    stop: int | None = Field(None, gt=0)
    continues: bool = Field(
        False,
        description="it goes on where the footage of its stream ended, as a live camera does: windows reach across",
    )
    sparse_fps: float | None = Field(None, gt=0, description=_SPARSE)

    @classmethod
    def from_format_1(cls, fields: Fields) -> Fields:
        return _with_feature_spec(fields)

    @classmethod
    def from_format_3(cls, fields: Fields) -> Fields:
        return _with_recording(fields)

    def chunks(self) -> tuple[Chunk, ...]:
        """Return all chunks in order; the last one has the `stop` of the batch."""
        return tuple(self.chunk(number) for number in range(len(self.starts)))

    def chunk(self, number: int) -> Chunk:
        """Return chunk `number`, from 0."""
        last = number == len(self.starts) - 1
        start, stop = self.starts[number], self.stop if last else self.starts[number + 1]
        # A chunk of a folder names its images, so that an image added later does not shift the others.
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
            opens_batch=number == 0 and not self.continues,
            closes_batch=last and not self.continues,
            sparse_fps=self.sparse_fps,
            ends_sparse=last and self.sparse_fps is not None,
        )

    def chunk_at(self, chunk_id: str) -> Chunk | None:
        """Return the chunk with this id, or None if the batch has none."""
        start = chunk_id.rpartition("-")[2]
        number = bisect_left(self.starts, int(start)) if start.isdigit() else len(self.starts)
        found = number < len(self.starts) and f"{self.id}-{self.starts[number]}" == chunk_id
        return self.chunk(number) if found else None


def _with_feature_spec(fields: Fields) -> Fields:
    """Return the fields of a batch or chunk of format 1, in which the feature spec was called `recipe`."""
    recipe = dict(fields["recipe"])
    recipe["decode_pipeline"] = recipe.pop("route")
    return {**{name: value for name, value in fields.items() if name != "recipe"}, "feature_spec": recipe}


def _with_recording(fields: Fields) -> Fields:
    """Return the fields of a batch or chunk of format 3, in which a recording was called a video."""
    source = fields["source"]
    return {**fields, "source": {**source, "kind": "recording"}} if source["kind"] == "video" else fields


class BatchState(StrEnum):
    """How far a batch is."""

    OFFERED = "offered"
    """It was handed in, and has not been accepted; if it is refused, that is a dead letter."""
    ACCEPTED = "accepted"
    """It is registered, and its frames are being embedded."""
    COMPLETE = "complete"
    """All its frames have entered the stream's window, but for those that were given up."""


class Submission(StrEnum):
    """What became of a source that a producer submitted."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    """The stream has had this content before; nothing was counted again."""
    REJECTED = "rejected"
    """It cannot be judged as it is; a dead letter gives the reason."""
    CHANGED = "changed"
    """A folder that was accepted before with other images: submit each of its images, including the known ones."""


class SourceRequest(Message):
    """A request to judge a source. It is stored in dead letters of kind SOURCE, so that they can be retried."""

    stream: str
    uri: str


class BatchReport(Message):
    """How a batch ended: the message of a BATCH_COMPLETE event."""

    batch_id: str
    stream: str
    uri: str
    frames: int = Field(ge=0, description="sampled frames that entered the stream's windows")
    dead_chunks: int = Field(ge=0, description="chunks given up; if more than 0, the batch was judged in part only")


class UnfinishedBatch(Message):
    """Where a batch is that has not entered its stream's window whole; the other chunks have."""

    batch_id: str
    stream: str
    uri: str
    received_at: float = Field(description="seconds since the epoch")
    chunks: int = Field(description="of the whole batch")
    queued: int = Field(description="chunks that wait to be sent to the embedding workers")
    embedding: int = Field(description="chunks that were sent to them")
    embedded: int = Field(description="chunks that wait for the reducer")
