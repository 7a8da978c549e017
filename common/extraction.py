"""Feature extraction: a range of a source is decoded once, and all feature groups are computed from it.

The embedding workers, `sentinel check` and `sentinel baseline build` all use this
module, so the same samples always give the same features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from common.backbones import Backbone, load_backbone
from common.contracts.batches import FeatureSpec, SourceKind
from common.contracts.feature_groups import FeatureGroup
from common.contracts.zones import Zone
from common.errors import BadSource, BaselineMismatch
from common.features import FeatureBlock, FloatArray, Image, time_source_code, to_half_precision
from common.modalities.modality import Modality, Sample
from common.modalities.registry import load_modality
from common.settings import Settings
from common.sources.capture_time import UNKNOWN_TIMES, CaptureTimes
from common.sources.limits import Limits

Look = Callable[[Sample], None]
"""What is shown samples while their features are computed. It must not raise, and not change them."""

_BATCH = 64  # samples in a block where no backbone asks for another number


@dataclass
class _Batch:
    """Samples that will form one block: images for the backbone, readings by group, which samples the rows of a group
    are of, times in s, indices in the source."""

    small: list[Image] = field(default_factory=list)
    seen: dict[str, list[int]] = field(default_factory=dict)
    readings: dict[str, list[FloatArray]] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)


class Extractor:
    """Computes features of one modality, with one loaded backbone. Create it after a fork, one per process.

    Parameters
    ----------
    modality : whose samples are read
    backbone : the loaded embedding model; None for a modality that needs none
    limits : largest frames and sources that are accepted
    embed_every : samples of a source of which the backbone sees one, see `FeatureSpec.embeds`
    ignore : zones of the picture that features show nothing of

    Raises
    ------
    BaselineMismatch
        If there are zones to ignore, but the modality has no pictures.
    """

    def __init__(
        self,
        modality: Modality[Any],
        backbone: Backbone | None,
        limits: Limits,
        *,
        embed_every: int = 1,
        ignore: tuple[Zone, ...] = (),
    ) -> None:
        if ignore and modality.mask is None:
            raise BaselineMismatch(f"{modality.name} has no pictures with zones to ignore: remove `ignore`")
        self.modality = modality
        self.backbone = backbone
        self.limits = limits
        self.embed_every = embed_every if backbone is not None else 1
        self.ignore = ignore

    def following(self, spec: FeatureSpec) -> Extractor:
        """Return an extractor with the same backbone that looks at what `spec` asks for."""
        return Extractor(self.modality, self.backbone, self.limits, embed_every=spec.embed_every, ignore=spec.ignore)

    @cached_property
    def groups(self) -> tuple[FeatureGroup, ...]:
        """The groups of features that it computes."""
        return self.modality.groups(0 if self.backbone is None else self.backbone.output_size)

    def feature_spec(self, sample_fps: float | None) -> FeatureSpec:
        """Return the feature spec of this extractor at `sample_fps` frames per second (None: every frame)."""
        backbone = self.backbone
        return FeatureSpec(
            backbone="" if backbone is None else backbone.name,
            weights="" if backbone is None else backbone.weights_digest,
            precision="" if backbone is None else backbone.precision,
            decode_pipeline=self.modality.decode_pipeline,
            sensors=self.modality.sensors_version,
            sample_fps=sample_fps,
            modality=self.modality.name,
            embed_every=self.embed_every,
            ignore=self.ignore,
        )

    def require(self, wanted: FeatureSpec) -> None:
        """Raise `BaselineMismatch` if this extractor cannot reproduce the feature spec `wanted`."""
        mine = self.feature_spec(wanted.sample_fps)
        advice = {
            "modality": "give it sources of the baseline's modality",
            "backbone": "set SENTINEL_BACKBONE",
            "weights": "set SENTINEL_WEIGHTS",
            "precision": "use a device that has it",
            "decode_pipeline": "rebuild the baseline with this version",
            "sensors": "rebuild the baseline with this version",
            "embed_every": "let the extractor follow the baseline",
            "ignore": "let the extractor follow the baseline",
        }
        for name, what_to_do in advice.items():
            have, want = str(getattr(mine, name)), str(getattr(wanted, name))
            if have != want:
                raise BaselineMismatch(
                    f"this worker has {name} {_short(have)}, the baseline wants {_short(want)}: {what_to_do}"
                )

    def extract(
        self,
        path: Path,
        kind: SourceKind,
        *,
        uri: str,
        sample_fps: float | None,
        start: int = 0,
        stop: int | None = None,
        names: Sequence[str] = (),
        digests: Sequence[str] = (),
        taken: CaptureTimes = UNKNOWN_TIMES,
        look: Look | None = None,
    ) -> FeatureBlock:
        """Return the features of the sampled frames [`start`, `stop`) of a source; a `stop` of None means its end.

        Parameters
        ----------
        names : for a folder whose listing is known, the images of the range
        digests : of those images, or of the single image; an image with other content is refused
        taken : capture times of the frames of the range
        look : is shown each sample, without what lies in the zones to ignore

        Raises
        ------
        BadSource
            If the source cannot be decoded, or a frame's features are not finite.
        """
        samples = self.modality.samples(
            path, kind, sample_fps=sample_fps, start=start, stop=stop, limits=self.limits,
            names=names, digests=digests,
        )  # fmt: skip
        size = _BATCH if self.backbone is None else self.backbone.batch * self.embed_every
        blocks = list(self.features(samples, uri, size, taken, first=start, look=look))
        return FeatureBlock.concatenate(blocks) if blocks else self.empty()

    def blocks(
        self,
        path: Path,
        kind: SourceKind,
        *,
        uri: str,
        sample_fps: float | None,
        size: int,
        look: Look | None = None,
    ) -> Iterator[FeatureBlock]:
        """Yield the features of a whole source in blocks of `size` frames, so that its length costs no memory.

        Samples are shown to `look` before the block that they are in is yielded.
        """
        samples = self.modality.samples(
            path, kind, sample_fps=sample_fps, start=0, stop=None, limits=self.limits
        )  # fmt: skip
        return self.features(samples, uri, size, self.modality.probe(path, kind, self.limits).times, look=look)

    def extract_bytes(
        self, data: bytes, *, uri: str, taken: CaptureTimes = UNKNOWN_TIMES, look: Look | None = None
    ) -> FeatureBlock:
        """Return the features of one still held in memory."""
        return next(self.features(self.modality.samples_of_data(data, uri, self.limits), uri, 1, taken, look=look))

    def empty(self) -> FeatureBlock:
        """Return a block of no frames, as wide as this extractor's features."""
        return FeatureBlock.empty({group.name: group.size for group in self.groups})

    def features(
        self,
        samples: Iterator[Sample],
        uri: str,
        size: int,
        taken: CaptureTimes = UNKNOWN_TIMES,
        *,
        first: int = 0,
        look: Look | None = None,
    ) -> Iterator[FeatureBlock]:
        """Yield the features of decoded samples in blocks of `size`.

        A backbone on another device embeds one block while the next is decoded.

        Parameters
        ----------
        taken : capture times of the samples
        first : index in the source of the first sample that `taken` covers
        look : is shown each sample, without what lies in the zones to ignore
        """

        def join(batch: _Batch) -> FeatureBlock:
            return self._join(batch, uri, taken, first)

        if self.backbone is None or not self.backbone.offloaded:
            yield from map(join, self._batches(samples, size, look))
            return
        with ThreadPoolExecutor(1) as device:
            waiting: Future[FeatureBlock] | None = None
            for batch in self._batches(samples, size, look):
                following = device.submit(join, batch)
                if waiting is not None:
                    yield waiting.result()
                waiting = following
            if waiting is not None:
                yield waiting.result()

    def _batches(self, samples: Iterator[Sample], size: int, look: Look | None) -> Iterator[_Batch]:
        # Native frames are large, so each is reduced to readings and a small image at once, and none is kept.
        batch = _Batch()
        embedding, mask, spec = self.modality.embedding, self.modality.mask, self.feature_spec(None)
        for decoded in samples:
            sample = mask(decoded, self.ignore) if mask is not None and self.ignore else decoded
            if look is not None:
                look(sample)
            for name, values in self.modality.readings(sample).items():
                batch.readings.setdefault(name, []).append(values)
                batch.seen.setdefault(name, []).append(len(batch.times))
            if embedding is not None and self.backbone is not None and spec.embeds(sample.index):
                batch.small.append(embedding.image(sample, self.backbone.input_size))
                batch.seen.setdefault(embedding.group, []).append(len(batch.times))
            batch.times.append(sample.time)
            batch.positions.append(sample.index)
            if len(batch.times) == size:
                yield batch
                batch = _Batch()
        if batch.times:
            yield batch

    def _join(self, batch: _Batch, uri: str, taken: CaptureTimes, first: int) -> FeatureBlock:
        groups = dict(self.empty().groups)
        embedding, backbone = self.modality.embedding, self.backbone
        if embedding is not None and backbone is not None and batch.small:
            groups[embedding.group] = to_half_precision(backbone.embed(np.stack(batch.small)))
        groups |= {name: np.stack(rows) for name, rows in batch.readings.items()}
        times, count = batch.times, len(batch.times)
        if not all(np.isfinite(values).all() for values in groups.values()):
            raise BadSource(
                f"{uri}: a frame between {times[0]:.2f} s and {times[-1]:.2f} s gives features that are not finite"
            )
        taken_at = [taken.of_frame(index - first, at) for index, at in zip(batch.positions, times, strict=True)]
        return FeatureBlock(
            groups,
            np.array(times, np.float64),
            (uri,),
            np.zeros(count, np.int32),
            np.array(taken_at, np.float64),
            np.full(count, time_source_code(taken.known_by), np.uint8),
            {name: np.array(batch.seen.get(name, ()), np.int32) for name in groups},
        )


def load_extractor(settings: Settings, modality: Modality[Any], spec: FeatureSpec | None) -> Extractor:
    """Return an extractor of `modality` that follows `spec`; None: no baseline yet, the settings count.

    Raises
    ------
    BaselineMismatch, BackboneError
        As `load_backbone` does, for a modality that needs a backbone, and as `Extractor` does.
    """
    backbone = None if modality.embedding is None else load_backbone(settings, spec)
    extractor = Extractor(modality, backbone, Limits.from_settings(settings))
    if spec is not None:
        return extractor.following(spec)
    chosen = {"embed_every": settings.embed_every, "ignore": settings.ignore or ()}
    return extractor.following(extractor.feature_spec(None).model_copy(update=chosen))


def extractor_of(settings: Settings, spec: FeatureSpec) -> Extractor:
    """Return an extractor for the modality and backbone of a baseline; the errors are those of `load_extractor`, and
    `BadModality` if no installed package offers the modality."""
    return load_extractor(settings, load_modality(spec.modality), spec)


def _short(value: str) -> str:
    """Return `value`, digests cut to their first 12 characters."""
    return value if len(value) <= 40 else value[:12] + "…"
