"""A stream that learns, and of which a person has accepted another normal picture: it learns on from there."""

from __future__ import annotations

import time
from pathlib import Path

from common.baselines.accepted_footage import AcceptedFootage
from common.baselines.golden import Golden, Learning
from common.baselines.learning.choosing import slot_of, slot_seconds
from common.baselines.learning.epoch import Epoch
from common.baselines.learning.learner import Learner
from common.contracts.feature_groups import FeatureGroup
from common.drift.bursts import Burst
from common.errors import BadBaseline, BadMessage, NotAccepted
from common.features import FeatureBlock
from common.sandbox import Sandbox
from common.settings import Settings
from common.store import Store

_READ_SECONDS = 60.0  # for the frames of one burst


def shows_nothing(footage: AcceptedFootage, golden: Golden) -> bool:
    """Return whether no burst of the footage could be learned, because nothing can be seen in it, or nothing moves."""
    bursts = _bursts(footage, golden.groups, golden.rule.frames, 1.0)
    return bool(bursts) and all(burst.defect(golden.groups) is not None for burst, _ in bursts.values())


def learn_accepted(
    store: Store, settings: Settings, footage: AcceptedFootage, learning: Learning, number: int
) -> tuple[str, Path]:
    """Begin a new epoch with accepted footage, and with what was learned before if the footage adds to it.

    Parameters
    ----------
    number : of the record that will name it; the folder's name begins with it, and is unique per attempt

    Returns
    -------
    Id and folder of the epoch.

    Raises
    ------
    NotAccepted
        If the footage cannot be learned.
    """
    plan = learning.plan
    name = f"{number}-{int(time.time() * 1000)}"
    folder = learning.folder.with_name(name)
    epoch, new = Epoch(folder, plan.groups), Learning(plan, name, folder, None, None)
    if footage.adds:
        for slot, burst in Epoch(learning.folder, plan.groups).bursts().items():
            epoch.add(slot, burst)
    found = _bursts(footage, plan.groups, plan.window_frames, slot_seconds(settings))
    if not found:
        raise NotAccepted(
            f"the capture times of this footage of stream {plan.stream!r} are unknown or jump, and learning needs them"
        )
    for slot, (burst, _) in found.items():
        epoch.add(slot, burst)
    learner = Learner(store, settings, plan.stream)
    try:
        learner.fit(new, epoch)
    except (BadBaseline, BadMessage) as error:
        raise NotAccepted(f"the footage of stream {plan.stream!r} cannot be learned: {error}") from error
    with Sandbox(_READ_SECONDS, settings.max_memory_mb) as sandbox:
        learner.keep_pictures(new, epoch, {slot: block for slot, (_, block) in found.items()}, sandbox.call)
    return new.id, folder


def _bursts(
    footage: AcceptedFootage, groups: tuple[FeatureGroup, ...], frames: int, seconds: float
) -> dict[int, tuple[Burst, FeatureBlock]]:
    """Return slot -> burst, with its features, of the windows of the footage, the first of each slot."""
    found: dict[int, tuple[Burst, FeatureBlock]] = {}
    for _, clip in footage.clips:
        for start in range(0, len(clip) - frames + 1, frames):
            block = clip[start : start + frames]
            try:
                burst = Burst.of(block, groups)
            except BadBaseline:
                continue
            found.setdefault(slot_of(block, seconds), (burst, block))
    return found
