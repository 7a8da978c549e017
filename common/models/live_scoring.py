"""The live scores of the champions: made beside the features of a chunk, and their reference from golden footage."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from common.baselines.binding import BaselineBinding
from common.baselines.golden import Golden
from common.contracts.ids import content_id
from common.contracts.model_scores import GoldenScores
from common.contracts.models import ChampionRecord
from common.errors import BadMessage, NothingToLearnFrom, SentinelError
from common.features import FeatureBlock
from common.live_scores import LiveScores
from common.models.canary import Canary
from common.models.golden_reference import examples_of, golden_scores, golden_values, spread, stated_column
from common.models.kinds import load_kind
from common.models.protocols import Examples, Model, ScoredLive
from common.models.versions import load_version
from common.settings import Settings
from common.sources.limits import Limits
from common.store import Store
from common.stream_config import model_of

log = logging.getLogger(__name__)

_MOST_MODELS = 4  # kept in memory


def scored_by(record: ChampionRecord) -> str:
    """Return what identifies a champion's weights: versions with the same weights have the same scores."""
    return content_id(record.model, record.model_digest)


def sampled(count: int, *, window: int, triplets: int, first: int = 0) -> list[int]:
    """Return which of `count` sampled frames of a chunk are scored.

    They follow from the frames' numbers in their source, not from how the work is cut, so a chunk that comes again
    gives the same scores.

    Parameters
    ----------
    window : sampled frames of a window
    triplets : frames of a window that are scored; 0: none
    first : number of the chunk's first frame

    Examples
    --------
    >>> sampled(30, window=48, triplets=4, first=20)
    [4, 16, 28]
    """
    if triplets == 0:
        return []
    every = max(window // triplets, 1)
    return list(range(-first % every, count, every))


@dataclass(frozen=True, eq=False)
class Scored:
    """The features of a part of a recording with live scores, and what has to be asked for because of them.

    Attributes
    ----------
    refer : whether the golden scores of the stream have to be made, or looked at again
    worse : the model whose champion turned out worse than a version before it; None: nothing says so
    """

    features: FeatureBlock
    refer: bool = False
    worse: str | None = None


@dataclass(frozen=True, eq=False)
class _Champion:
    record: ChampionRecord
    kind: ScoredLive[Model]
    model: Model


class LiveScoring:
    """Scores champions on live and on golden footage. A process loads each model once, and verifies its digest.

    What it does raises `BadModel` if the champion's files are not what was promoted, and the errors of
    `BaselineBinding.current`.
    """

    def __init__(self, store: Store, settings: Settings, baselines: BaselineBinding) -> None:
        self.store = store
        self.settings = settings
        self.baselines = baselines

    def scored(self, stream: str, path: Path, features: FeatureBlock, first: int, chunk: str) -> Scored:
        """Return the features of a part of a recording with the live scores of its stream's champion, if there is one.

        While a champion is new, the version before it is scored on the same examples.

        Parameters
        ----------
        first : number of the part's first sampled frame in its source
        chunk : id of the part
        """
        if self.settings.decay_triplets == 0 or (champion := self._champion(stream)) is None:
            return Scored(features)
        golden = self.baselines.current(stream)
        refer = self._wants_reference(stream, champion, golden)
        window = golden.rule.frames
        frames = sampled(len(features), window=window, triplets=self.settings.decay_triplets, first=first)
        if not frames:
            return Scored(features, refer)
        times = [float(features.times[frame]) for frame in frames]
        examples, places = champion.kind.read_live(path, times, Limits.from_settings(self.settings))
        canary = Canary(self.store, self.settings)
        compared = self._loaded(stream, canary.wanted(stream, champion.record, chunk))
        own, *others = champion.kind.score_live([champion.model, *compared], examples)
        said = np.isfinite(own).all(axis=1)
        live = LiveScores(
            scored_by(champion.record),
            tuple(column.name for column in champion.kind.score_columns),
            own[said],
            np.array(frames, np.int32)[places][said],
        )
        stated, worse = stated_column(champion.kind), False
        for other in others:
            differences = (other - own)[said, stated].tolist()
            worse = bool(differences) and canary.note(stream, champion.record, chunk, differences)
        return Scored(replace(features, scores=live), refer, champion.record.model if worse else None)

    def _loaded(self, stream: str, record: ChampionRecord | None) -> list[Model]:
        """Return the version that the champion is compared with; none if there is none, or it cannot be loaded."""
        try:
            return [] if record is None else [_load(record)]
        except SentinelError as error:
            log.warning("stream %s: the champion is compared with no version before it: %s", stream, error)
            return []

    def _wants_reference(self, stream: str, champion: _Champion, golden: Golden) -> bool:
        """Return whether the golden scores of a stream have to be made, or looked at again, now."""
        known = golden_scores(self.store, stream)
        current = known is not None and (known.golden_id, known.by) == (golden.id, scored_by(champion.record))
        if golden.stored is None or (current and golden.learning is None):
            return False
        return self.store.golden_scores.ask(stream, known=current)

    def refer(self, stream: str) -> GoldenScores | None:
        """Score the champion of a stream on its golden footage, and store that; None if nothing could be scored.

        Raises
        ------
        BadBaseline, SettingsError
            If the stream has no usable baseline, or one that keeps no golden examples.
        """
        champion = self._champion(stream)
        if champion is None:
            return None
        golden = self.baselines.current(stream)
        before = golden_scores(self.store, stream)
        examples = examples_of(golden)
        same = before is not None and (before.golden_id, before.by) == (golden.id, scored_by(champion.record))
        if before is not None and same and (before.examples == len(examples) or before.behind_db > 0):
            return before
        found = self._reference(stream, champion, golden, examples, before)
        if self.store.streams.is_known(stream):
            self.store.golden_scores.put(found)
        return found

    def _reference(
        self, stream: str, champion: _Champion, golden: Golden, examples: Examples, before: GoldenScores | None
    ) -> GoldenScores:
        """Return what a champion's live scores are held against; `before` is what those of another were."""
        kind, record = champion.kind, champion.record
        held_out = examples[spread(kind.split_golden(len(examples)).held_out)]
        # On other examples the mean differs by what they show, and not by the model.
        same_golden = before is not None and (before.golden_id, before.examples) == (golden.id, len(examples))
        comparable = before is not None and same_golden and before.columns == kind.score_columns
        found = golden_values(
            kind,
            champion.model,
            held_out,
            self.settings.promote_max_loss_db,
            np.array(before.values, np.float32) if before is not None and comparable else None,
        )
        if not len(found.values):
            raise NothingToLearnFrom(f"stream {stream!r}: in none of its golden examples anything moves")
        if found.behind_db > 0:
            log.error(
                "stream %s: %s v%d is %.2f dB below what there was before it on golden footage: it has decayed",
                stream, record.model, record.version, found.behind_db,
            )  # fmt: skip
        return GoldenScores(
            stream=stream,
            golden_id=golden.id,
            by=scored_by(record),
            version=record.version,
            behind_db=found.behind_db,
            columns=kind.score_columns,
            values=tuple(tuple(float(f"{value:.5g}") for value in row) for row in found.values),
            examples=len(examples),
            made_at=time.time(),
        )

    def _champion(self, stream: str) -> _Champion | None:
        """Return the champion of a stream, loaded; None if there is none, or none that can be scored."""
        try:
            record = self.store.champions.champion(model_of(self.settings, stream))
        except BadMessage:  # a newer version wrote it
            return None
        if record is None or record.model_path is None or record.model_digest is None:
            return None
        kind = load_kind(record.model)
        if not isinstance(kind, ScoredLive):
            return None
        return _Champion(record, kind, _load(record))


@lru_cache(maxsize=_MOST_MODELS)
def _load(record: ChampionRecord) -> Model:
    return load_version(load_kind(record.model), record)
