"""Which features a stream that begins to learn is learned by: a worker that can load the backbone says it.

Producers load no backbone. They ask the embedding workers, once for all streams of a
modality, and the source waits until there is an answer.
"""

from __future__ import annotations

import time

from common import broker
from common.baselines.build import clean_bounds, library_versions
from common.contracts.ids import content_id
from common.contracts.learning import PreparedFeatures
from common.errors import SettingsError, StillPreparing
from common.extraction import load_extractor
from common.modalities.registry import load_modality
from common.settings import Settings
from common.store import Store

_PATIENCE_SECONDS = 60.0  # in which a worker loads a backbone, and converts it if it is the first time


def preparation_key(settings: Settings, modality: str) -> str:
    """Return what identifies the features of `modality` that these settings ask for."""
    return content_id(modality, settings.backbone, settings.weights, settings.pixels, settings.precision)


def make_features(settings: Settings, modality: str) -> PreparedFeatures:
    """Load the backbone that the settings name, and return which features it makes; errors as of `load_extractor`."""
    extractor = load_extractor(settings, load_modality(modality), None)
    groups, clean_ratios = clean_bounds(extractor)
    return PreparedFeatures(
        feature_spec=extractor.feature_spec(None),
        groups=groups,
        clean_ratios=clean_ratios,
        libraries=library_versions(extractor),
    )


def prepared_features(store: Store, settings: Settings, modality: str, now: float | None = None) -> PreparedFeatures:
    """Return which features the workers make of `modality`.

    Raises
    ------
    StillPreparing
        If there is no answer yet: ask again in a moment.
    SettingsError
        If they can make none, or nobody answers for a minute.
    """
    key = preparation_key(settings, modality)
    known = store.learning.prepared(key)
    if known.features is not None:
        return known.features
    if known.refused:
        raise SettingsError(f"no features of {modality} can be made, so no stream can begin to learn: {known.refused}")
    if store.learning.ask_to_prepare(key):
        broker.send_prepare(modality)
    waited = (time.time() if now is None else now) - (known.asked_at or time.time())
    if waited > _PATIENCE_SECONDS:
        raise SettingsError(
            f"no embedding worker has said for {waited:.0f} s which features of {modality} it makes: see that `embed` "
            "runs, with the same SENTINEL_BACKBONE and SENTINEL_WEIGHTS, and what its log says"
        )
    raise StillPreparing("the backbone is loaded for the first stream that learns: in a moment it goes on")
