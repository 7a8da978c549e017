"""Objects that a worker process creates once, after the fork: store, baselines, extractors."""

from __future__ import annotations

import logging
from functools import cache, lru_cache

from common.baselines.binding import BaselineBinding
from common.baselines.storage import find_baseline, load_baseline
from common.contracts.batches import FeatureSpec
from common.contracts.model_scores import GoldenScores
from common.drift.conditions import Condition
from common.errors import BadMessage
from common.extraction import Extractor, extractor_of
from common.models.conditions import ConditionCache
from common.models.golden_reference import golden_scores
from common.models.live_scoring import LiveScoring
from common.settings import get_settings
from common.store import Store, open_store
from common.stream_config import model_of

log = logging.getLogger(__name__)

_MAX_BACKBONES = 8  # loaded at a time per process; the least recently used one is dropped


@cache
def store() -> Store:
    """Return this process's store."""
    return open_store(get_settings())


@cache
def baselines() -> BaselineBinding:
    """Return the object that finds the baseline of each stream."""
    return BaselineBinding(get_settings(), store())


@cache
def _conditions() -> ConditionCache:
    return ConditionCache()


def conditions(stream: str, golden_id: str) -> list[Condition]:
    """Return the conditions of `stream`, over the golden baseline `golden_id`, that its champion is proved on."""
    try:
        champion = store().champions.champion(model_of(get_settings(), stream))
    except BadMessage as error:  # a newer version wrote it: without conditions more fails, and nothing is hidden
        log.warning("stream %s is judged without conditions: %s", stream, error)
        return []
    records = champion.conditions if champion else ()
    return _conditions().of(tuple(row for row in records if (row.stream, row.golden_id) == (stream, golden_id)))


def live_scoring() -> LiveScoring:
    """Return what scores champions on live footage; it keeps nothing itself."""
    return LiveScoring(store(), get_settings(), baselines())


def reference(stream: str, golden_id: str) -> GoldenScores | None:
    """Return what live scores of `stream` are held against, over the golden baseline `golden_id`; None: not known."""
    found = golden_scores(store(), stream)
    return found if found is not None and found.golden_id == golden_id else None


def extractor(spec: FeatureSpec) -> Extractor:
    """Return an extractor that follows `spec`; each backbone is loaded once per process.

    Raises
    ------
    BaselineMismatch
        If this worker cannot load the backbone, weights and precision of `spec`.
    BadModality
        If no installed package offers its modality.
    BackboneError
        If loading fails for any other reason.
    """
    # Specs that differ only in these fields share a backbone.
    others = {"sample_fps": None, "decode_pipeline": "", "sensors": "", "embed_every": 1, "ignore": ()}
    return _extractor(spec.model_copy(update=others)).following(spec)


@lru_cache(maxsize=_MAX_BACKBONES)
def _extractor(spec: FeatureSpec) -> Extractor:
    return extractor_of(get_settings(), spec)


def default_feature_spec() -> FeatureSpec | None:
    """Return the feature spec of SENTINEL_BASELINE; None if it is not set.

    Backbones of other baselines are loaded when their first chunk arrives.
    """
    settings = get_settings()
    if not settings.baseline:
        return None
    return load_baseline(find_baseline(settings.baseline, settings.baselines_dir)).baseline.feature_spec
