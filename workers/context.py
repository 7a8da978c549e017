"""What a worker process loads once, after the fork: settings, Redis, baselines, backbones."""

from __future__ import annotations

from functools import cache, lru_cache

from common.backbones import load_backbone
from common.baselines.binding import BaselineBinding
from common.baselines.storage import find_baseline, load_baseline
from common.contracts.batches import FeatureSpec
from common.errors import SettingsError
from common.extraction import Extractor
from common.settings import get_settings
from common.sources.local import Limits
from common.store import Store

_MAX_BACKBONES = 8  # loaded at a time per process; the least recently used one makes room


@cache
def store() -> Store:
    """Return this process's connection to Redis."""
    settings = get_settings()
    if settings.redis_url is None:
        raise SettingsError("SENTINEL_REDIS_URL is not set: start everything with `sentinel up`, or name your Redis")
    return Store(settings.redis_url, settings)


@cache
def baselines() -> BaselineBinding:
    """Return the lookup of the baseline that each stream is judged by."""
    return BaselineBinding(get_settings(), store())


def extractor(spec: FeatureSpec) -> Extractor:
    """Return the extractor with the backbone that `spec` asks for; each is loaded once per process.

    Raises
    ------
    BaselineMismatch
        If this worker cannot load the backbone, weights and precision of `spec`.
    BackboneError
        If it should, and fails to.
    """
    # Specs that differ in anything else share a backbone.
    return _extractor(spec.model_copy(update={"sample_fps": None, "decode_pipeline": "", "sensors": ""}))


@lru_cache(maxsize=_MAX_BACKBONES)
def _extractor(spec: FeatureSpec) -> Extractor:
    settings = get_settings()
    return Extractor(load_backbone(settings, spec), Limits.from_settings(settings))


def default_feature_spec() -> FeatureSpec | None:
    """Return the feature spec of SENTINEL_BASELINE, None if it is not set.

    Streams with other baselines get their backbone loaded when their first chunk arrives.
    """
    settings = get_settings()
    if not settings.baseline:
        return None
    return load_baseline(find_baseline(settings.baseline, settings.baselines_dir)).baseline.feature_spec
