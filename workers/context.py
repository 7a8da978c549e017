"""What a worker process loads once, after the fork: settings, Redis, baselines, the backbone."""

from __future__ import annotations

from functools import cache

from common.backbones import load_backbone
from common.baselines.binding import BaselineBinding
from common.baselines.storage import find_baseline, load_baseline
from common.errors import SettingsError
from common.extraction import Extractor
from common.settings import get_settings
from common.sources.local import Limits
from common.store import Store


@cache
def store() -> Store:
    settings = get_settings()
    if settings.redis_url is None:
        raise SettingsError("SENTINEL_REDIS_URL is not set: start everything with `sentinel up`, or name your Redis")
    return Store(settings.redis_url, settings)


@cache
def baselines() -> BaselineBinding:
    return BaselineBinding(get_settings(), store())


@cache
def extractor(precision: str) -> Extractor:
    """Return what makes features in `precision`, as a baseline's feature spec asks for it."""
    settings = get_settings()
    return Extractor(load_backbone(settings, precision), Limits.from_settings(settings))


def default_precision() -> str:
    """Return the precision of the baseline that is set; streams that have another one load theirs when they come."""
    settings = get_settings()
    if not settings.baseline:
        return settings.precision
    return load_baseline(find_baseline(settings.baseline, settings.baselines_dir)).baseline.feature_spec.precision
