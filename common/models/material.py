"""The footage that one stretch of an incident gives for healing, and the condition that it becomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from common.baselines.storage import StoredBaseline
from common.contracts.conditions import ConditionRecord
from common.contracts.ids import content_id
from common.contracts.incidents import Incident
from common.contracts.policy import Policy
from common.contracts.verdicts import Cause
from common.drift.conditions import fit_condition
from common.drift.segment import Segment
from common.drift.stretches import Stretch
from common.errors import NothingToLearnFrom
from common.models.conditions import save_condition
from common.models.folders import condition_folder
from common.models.policy import cause_to_train
from common.models.protocols import Examples, Model, ModelKind
from common.settings import Settings
from common.sources.local import Limits

_SECONDS_PER_DAY = 86_400.0
FEWEST_HELD_OUT = 120
"""Examples that a condition keeps for proving it again; with fewer, a proof has too little power."""


@dataclass(frozen=True, eq=False)
class Material:
    """One stretch that may be trained on.

    Attributes
    ----------
    segment : its features, as the judge compares windows with them
    training, held_out : (n, ...) uint8 each, the earlier and the later part of its examples
    """

    incident: Incident
    stretch: Stretch
    cause: Cause
    golden: StoredBaseline
    segment: Segment
    training: Examples
    held_out: Examples

    @property
    def taken_at(self) -> float:
        """Capture time of its last frame; where there is none, of the incident's latest window."""
        taken_at = self.stretch.block.capture_time(-1)
        return self.incident.latest_at if taken_at is None else taken_at

    def require_first_of_its_cause(self, conditions: Sequence[ConditionRecord]) -> None:
        """Raise `NothingToLearnFrom` if the stream has a live condition of the same cause.

        Footage that has left such a condition shows a fault that grows. A condition for each step of it would lead
        the judge along until nothing fails any more.
        """
        for condition in conditions:
            same = condition.stream == self.stretch.stream and condition.cause is self.cause
            if same and condition.is_live(self.taken_at):
                raise NothingToLearnFrom(
                    f"there is a condition of {self.cause} already, and this footage is not like it: "
                    "the fault grows or changes, and is not learned step by step; look at the camera"
                )


def expiry(proved: float, settings: Settings) -> float:
    """Return when a condition that was proved on footage of this time expires, seconds since the epoch."""
    return proved + settings.condition_days * _SECONDS_PER_DAY


def gather(
    incident: Incident,
    stretch: Stretch,
    golden: StoredBaseline,
    kind: ModelKind[Model],
    policy: Policy,
    settings: Settings,
) -> Material:
    """Return the footage of a stretch, if the policy trains on it and there is enough of it.

    Raises
    ------
    NothingToLearnFrom
        If it may not be trained on, shows no motion to learn, or is too short; the message says which.
    BadSource
        If its frames can no longer be read.
    """
    cause = cause_to_train(stretch.causes, policy)
    resembled = Counter(window.segment for window in stretch.windows).most_common(1)[0][0]
    segment = fit_condition(stretch.name, stretch.block, golden.baseline, resembled)
    examples = fit_examples(kind, stretch, settings, settings.retrain_max_triplets)
    split = kind.split_stretch(len(examples))
    if len(split.held_out) < FEWEST_HELD_OUT:
        raise NothingToLearnFrom(
            f"{stretch.name} gives {len(examples)} examples, of which {len(split.held_out)} can be held out; "
            f"{FEWEST_HELD_OUT} are needed to prove a model on: wait for more footage, and keep the files in place"
        )
    return Material(incident, stretch, cause, golden, segment, examples[split.training], examples[split.held_out])


def fit_examples(kind: ModelKind[Model], stretch: Stretch, settings: Settings, most: int) -> Examples:
    """Return up to `most` examples of a stretch, in time order.

    Raises
    ------
    NothingToLearnFrom
        If there is nothing in it that a model could learn, such as motion.
    BadSource
        If its frames can no longer be read.
    """
    footage = kind.read_stretch(stretch.block, limits=Limits.from_settings(settings), roots=settings.roots, most=most)
    if footage.unfit is not None:
        raise NothingToLearnFrom(f"{stretch.name}: {footage.unfit}")
    return footage.examples


def condition_of(material: Material, model: str, gain_db: float, settings: Settings) -> ConditionRecord:
    """Store the footage of a stretch as a condition, and return its record.

    Raises
    ------
    BadModel
        If it cannot be written.
    """
    stretch = material.stretch
    identity = content_id(stretch.stream, material.incident.id, stretch.first, len(stretch.block))
    folder = condition_folder(settings.state_dir, model, identity)
    digest = save_condition(folder, material.segment, material.held_out)
    return ConditionRecord(
        id=identity,
        stream=stretch.stream,
        cause=material.cause,
        incident=material.incident.id,
        golden_id=material.golden.id,
        path=str(folder),
        digest=digest,
        gain_db=gain_db,
        proved=material.taken_at,
        expires=expiry(material.taken_at, settings),
    )
