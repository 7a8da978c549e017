"""Replay: examples of all that a model has to do well, so that a training does not make it forget them.

They are pooled from the golden footage of its streams, and come from each live condition of its champion.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.baselines.binding import BaselineBinding
from common.baselines.learning.pictures import golden_examples
from common.contracts.models import ChampionRecord
from common.errors import BadBaseline, BadModel, NothingToLearnFrom
from common.models.conditions import load_replay
from common.models.protocols import Examples, Model, ModelKind
from common.models.proving import is_current
from common.settings import Settings
from common.store import Store
from common.stream_config import model_of

log = logging.getLogger(__name__)

MOST_GOLDEN = 240  # examples in all: about 180 MB; about 100 of them are held out, by which the gate sees what is lost

MOST_EARLIER = 240  # examples of conditions in all: about 180 MB


@dataclass(frozen=True, eq=False)
class Replay:
    """Golden examples (n, ...) uint8: some to train on, the others held out."""

    training: Examples
    held_out: Examples


def pooled_replay(
    store: Store, settings: Settings, baselines: BaselineBinding, name: str, kind: ModelKind[Model]
) -> Replay:
    """Return the golden examples of all streams that a model serves.

    Raises
    ------
    NothingToLearnFrom
        If no stream's baseline keeps enough examples.
    """
    folders: dict[Path, str] = {}
    reasons: list[str] = []
    for stream in store.streams.names():
        if model_of(settings, stream) != name:
            continue
        try:
            stored = baselines.of_stream(stream)
            folders[stored.folder] = stored.baseline.name
        except Exception as error:  # a stream without a baseline has no golden footage, and holds nobody up
            reasons.append(f"stream {stream!r}: {error}")
    found = []
    for folder, baseline in folders.items():
        try:
            examples = golden_examples(folder)
        except BadBaseline as error:
            reasons.append(str(error))
            continue
        if examples is not None and len(examples) >= kind.fewest_examples:
            found.append(examples)
        else:
            reasons.append(
                f"baseline {baseline!r} keeps too few golden frames: rebuild it from moving footage, or let it learn on"
            )
    if not found:
        raise NothingToLearnFrom(
            f"model {name!r} has no golden frames to keep it from forgetting: " + "; ".join(reasons)
        )
    for reason in reasons:
        log.warning("model %s: no golden replay of it: %s", name, reason)
    return split_pool(kind, found)


def condition_replay(
    store: Store, settings: Settings, baselines: BaselineBinding, champion: ChampionRecord
) -> dict[str, Examples]:
    """Return training examples (n, ...) uint8 of each live condition of a champion, by its id.

    None of them is among those on which a model is proved on the condition. A condition that keeps none, because it
    was made before 0.4, or whose footage cannot be read, is left out. Of many conditions each gives fewer.
    """
    live = [row for row in champion.conditions if is_current(store, settings, baselines, champion.model, row)]
    most = max(MOST_EARLIER // max(len(live), 1), 1)
    found: dict[str, Examples] = {}
    for condition in live:
        try:
            examples = load_replay(condition)
        except BadModel as error:
            log.warning("model %s: no replay of a condition: %s", champion.model, error)
            continue
        if examples is not None:
            found[condition.id] = _thin(examples, min(most / len(examples), 1.0))
    return found


def split_pool(kind: ModelKind[Model], golden: Sequence[Examples]) -> Replay:
    """Pool the golden examples of several baselines, in equal parts.

    Each baseline's examples are split by themselves, and thinned out afterwards: nothing that was trained on is held
    out when another baseline joins.

    Parameters
    ----------
    golden : (n, ...) uint8 each
    """
    each = max(kind.fewest_examples, MOST_GOLDEN // len(golden))
    splits = [(examples, kind.split_golden(len(examples)), min(each / len(examples), 1.0)) for examples in golden]
    return Replay(
        np.concatenate([_thin(examples[split.training], share) for examples, split, share in splits]),
        np.concatenate([_thin(examples[split.held_out], share) for examples, split, share in splits]),
    )


def _thin(examples: Examples, share: float) -> Examples:
    """Return the given share of the examples, at least one, evenly spread."""
    count = max(round(share * len(examples)), 1)
    return np.asarray(examples[np.linspace(0, len(examples) - 1, count).astype(int)], np.uint8)
