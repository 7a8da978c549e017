"""The port of a modality: everything that Sentinel must know of a kind of data to judge its drift.

A modality turns bytes into samples (a frame of video, a row of numbers), and samples into feature
groups. It is found by its entry point of group `sentinel.modalities` (`common.modalities.registry`).
Every other package calls it by this port alone. docs/modalities.md shows a second one, in full.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar, runtime_checkable

from common.contracts.batches import SourceKind
from common.contracts.clean_drift import DriftTable
from common.contracts.feature_groups import FeatureGroup
from common.contracts.shifts import Shifts
from common.contracts.verdicts import Cause
from common.contracts.zones import Zone
from common.features import FloatArray, Image
from common.sources.capture_time import CaptureTimes
from common.sources.limits import Limits


class Sample(Protocol):
    """One sample of a source; what else it holds is known to its modality alone."""

    @property
    def index(self) -> int:
        """Index among the sampled ones of its source, from 0."""

    @property
    def time(self) -> float:
        """Seconds since the first sample of its source."""


SampleT = TypeVar("SampleT", bound=Sample)


@dataclass(frozen=True)
class SourceFacts:
    """What a source declares before it is decoded; the samples that decoding finds may differ.

    Attributes
    ----------
    kind : what the source is
    fps : nominal samples per second
    duration : seconds
    frames : number of samples, at least 1
    times : capture times
    """

    kind: SourceKind
    fps: float
    duration: float
    frames: int
    times: CaptureTimes

    def sampled_count(self, sample_fps: float | None) -> int:
        """Return the number of sampled frames to expect, at least 1.

        Stills are all sampled, whatever the rate: their number was chosen when they were taken.
        """
        if sample_fps is None or self.kind is not SourceKind.RECORDING or sample_fps >= self.fps:
            return self.frames
        return max(1, min(self.frames, math.ceil(self.duration * sample_fps)))


@dataclass(frozen=True)
class Embedding(Generic[SampleT]):
    """What a modality needs a backbone for.

    Attributes
    ----------
    group : name of the joint group that the backbone's features form
    image : returns the image (side, side, 3) uint8 of a sample that the backbone embeds; `side` in pixels
    """

    group: str
    image: Callable[[SampleT, int], Image]


@runtime_checkable
class Modality(Protocol[SampleT]):
    """A kind of data. Its methods keep no state, and raise `BadSource` for what cannot be read.

    Attributes
    ----------
    name : as its entry point is called; baselines and chunks carry it
    suffixes : suffix of its files (lower case, with the dot) -> whether such a file is a RECORDING or an IMAGE
    decode_pipeline : identifies what determines the samples: change it with anything that changes them
    sensors_version : identifies the readings and their arithmetic: change it likewise
    libraries : distributions whose versions a baseline records
    embedding : what it needs a backbone for; None if it needs none
    mask : returns a sample of which nothing shows what lies in zones of its picture; None if samples have no picture
    picture : returns a sample's picture for people to look at, (height, width, 3) uint8 RGB, neither side longer than
        the number of pixels given; None if samples have no picture
    clean_drift : what clean footage of other sources does; None if it ships no such table
    """

    @property
    def name(self) -> str: ...

    @property
    def suffixes(self) -> Mapping[str, SourceKind]: ...

    @property
    def decode_pipeline(self) -> str: ...

    @property
    def sensors_version(self) -> str: ...

    @property
    def libraries(self) -> Sequence[str]: ...

    @property
    def embedding(self) -> Embedding[SampleT] | None: ...

    @property
    def mask(self) -> Callable[[SampleT, tuple[Zone, ...]], SampleT] | None: ...

    @property
    def picture(self) -> Callable[[SampleT, int], Image] | None: ...

    @property
    def clean_drift(self) -> DriftTable | None: ...

    def groups(self, embedding_size: int) -> tuple[FeatureGroup, ...]:
        """Return its feature groups, in the order in which verdicts name them.

        Parameters
        ----------
        embedding_size : number of features of the backbone; 0 if it needs none
        """

    def probe(self, path: Path, kind: SourceKind, limits: Limits) -> SourceFacts:
        """Return what the source at `path` declares; raise `BadSource` if it cannot be one, or exceeds the limits.

        Parameters
        ----------
        path : a file, or a folder of stills
        kind : as `sources.local.describe_kind` returns it
        """

    def probe_data(self, data: bytes, name: str, limits: Limits) -> SourceFacts:
        """Return what one still in memory declares, from inside an event; `name` is used in error messages."""

    def key_seconds(self, path: Path, limits: Limits) -> float | None:
        """Return the seconds between those samples of a recording that are cheap to decode; None: all are, or
        unknown. A baseline is built at that rate if it suits."""

    def chunk(self, path: Path, sample_fps: float | None, size: int, limits: Limits) -> tuple[int, tuple[int, ...]]:
        """Return the number of sampled frames of a recording, and the indices of those at which a chunk starts.

        Parameters
        ----------
        sample_fps : sampled frames per second; None: all
        size : sampled frames per chunk, approximately
        """

    def samples(
        self,
        path: Path,
        kind: SourceKind,
        *,
        sample_fps: float | None,
        start: int,
        stop: int | None,
        limits: Limits,
        names: Sequence[str] = (),
        digests: Sequence[str] = (),
    ) -> Iterator[SampleT]:
        """Yield the sampled frames `start` to `stop` (exclusive; None: to the end) of a source, in order.

        The parts [0, n), [n, 2n), ... together yield exactly the samples of the whole source. A part beyond the end
        yields nothing.

        Parameters
        ----------
        start, stop : indices among the sampled frames of the source
        names : file names of the stills `start` to `stop` of a folder, if its listing was recorded
        digests : of the contents of those stills, or of the single one, if recorded: another content is refused
        """

    def samples_of_data(self, data: bytes, name: str, limits: Limits) -> Iterator[SampleT]:
        """Yield the one sample of a still in memory, which `probe_data` has accepted."""

    def readings(self, sample: SampleT) -> Mapping[str, FloatArray]:
        """Return the (q,) float32 columns of each of its groups but the backbone's, by the name of the group.

        A group of which nothing can be known from this sample may be left out.
        """

    def diagnose(self, shifts: Shifts) -> Cause:
        """Return the most likely cause of a FAIL."""
