"""How the features of a stream's frames are made: as its baseline asks, or, if it learns, as suits its first source."""

from __future__ import annotations

from pathlib import Path

from common.baselines.binding import BaselineBinding
from common.baselines.learning.planning import choose_plan
from common.baselines.learning.preparing import prepared_features
from common.contracts.batches import FIRST_MODALITY, FeatureSpec, SourceKind
from common.drift.spacing import FARTHER
from common.errors import BaselineMismatch, NotLearned, SettingsError, StillPreparing
from common.ingest.description import Described, time_to_describe
from common.sandbox import Sandbox
from common.sources.limits import Limits
from common.sources.local import modality_of, source_path
from common.stream_config import settings_of_stream

# Seconds between key frames beyond which they alone are too few: a fault of which four show is then found late.
_LONGEST_KEY_SECONDS = 4.0
# Cameras time their frames unevenly. Of ticks that are a little shorter than the interval of the key frames, each holds
# one, and no other frame is sampled in its place.
_TICKS_PER_KEY = 1.02


class StreamFeatures:
    """The feature spec of each stream.

    Parameters
    ----------
    baselines : finds the baseline of each stream
    limits : largest sources that are accepted
    sandbox : in which a first source is looked at
    """

    def __init__(self, baselines: BaselineBinding, limits: Limits, sandbox: Sandbox) -> None:
        self.baselines = baselines
        self.settings = baselines.settings
        self.store = baselines.store
        self.limits = limits
        self._sandbox = sandbox

    def modality(self, stream: str) -> str:
        """Return the name of the modality of `stream`; of one that begins to learn, video. Errors as of `known`."""
        try:
            return self.known(stream).modality
        except NotLearned:
            return FIRST_MODALITY

    def known(self, stream: str) -> FeatureSpec:
        """Return the feature spec of `stream`.

        Raises
        ------
        NotLearned
            If the stream learns, and no footage of it has come yet.
        BaselineMismatch
            If SENTINEL_SAMPLE_FPS is not the rate of its baseline.
        SettingsError, BadBaseline
            If there is no usable baseline.
        """
        spec = self.baselines.current(stream).feature_spec
        asked = self.settings.sample_fps
        if asked is not None and asked != spec.sample_fps:
            raise BaselineMismatch(
                f"SENTINEL_SAMPLE_FPS is {asked:g}, but the baseline of stream {stream!r} was sampled at "
                f"{spec.sample_fps or 'every frame'}: unset it, or build a baseline at that rate"
            )
        return spec

    def of_source(self, stream: str, described: Described) -> FeatureSpec:
        """Return the feature spec for a source of `stream`, which begins to learn if it is the first one.

        Raises
        ------
        StillPreparing
            If it begins to learn, and no worker has said yet which features it makes.
        BaselineMismatch, SettingsError, BadBaseline
            As `known` does.
        """
        try:
            return self.known(stream)
        except NotLearned:
            return self._begin(stream, described)

    def _begin(self, stream: str, described: Described) -> FeatureSpec:
        try:
            prepared = prepared_features(self.store, self.settings, described.modality)
        except StillPreparing:
            raise
        except SettingsError as error:
            self.store.golden.note_waiting(stream, str(error))
            raise
        plan = choose_plan(
            stream,
            described.source.uri,
            described.facts,
            self._key_seconds(described),
            prepared,
            settings_of_stream(self.settings, stream),
        )
        return self.store.learning.begin(plan).feature_spec

    def key_rate(self, described: Described, spec: FeatureSpec) -> float | None:
        """Return the rate at which the key frames of a recording alone are sampled, frames per second.

        None if `spec` asks for hardly more than them, or if they come too seldom to be enough.
        """
        seconds = self._key_seconds(described)
        if seconds is None or seconds > _LONGEST_KEY_SECONDS:
            return None
        rate = _TICKS_PER_KEY / seconds
        asked = described.facts.fps if spec.sample_fps is None else min(spec.sample_fps, described.facts.fps)
        # What lies less far apart saves little, and is not told from the baseline's own sampling.
        return rate if rate * FARTHER < asked else None

    def _key_seconds(self, described: Described) -> float | None:
        """Return the interval between the key frames of a source, s; None: unknown, or it is no recording."""
        if described.source.kind is not SourceKind.RECORDING:
            return None
        path = source_path(described.source.uri, self.settings.roots)
        return self._sandbox.call(_key_seconds, path, self.limits, subject=str(path), timeout=time_to_describe(path))


def _key_seconds(path: Path, limits: Limits) -> float | None:
    return modality_of(path, limits).key_seconds(path, limits)
