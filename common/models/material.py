"""The footage that one stretch of an incident gives for healing, and the condition that it becomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from common.baselines.learning import pictures
from common.baselines.storage import StoredBaseline
from common.contracts.conditions import ConditionRecord
from common.contracts.ids import content_id
from common.contracts.incidents import Incident
from common.contracts.verdicts import Cause, Status
from common.drift.conditions import Condition, fit_condition
from common.drift.judge import judge
from common.drift.segment import Segment
from common.drift.stretches import Stretch
from common.errors import BadBaseline, BadModel, NothingToLearnFrom
from common.judging import Thresholds
from common.models.betting import examples_factor
from common.models.comparing import spread_blocks
from common.models.conditions import load_condition, save_condition
from common.models.folders import condition_folder
from common.models.protocols import Examples, Model, ModelKind
from common.settings import Settings
from common.sources.limits import Limits
from common.store import Store
from common.stream_config import settings_of_stream

_SECONDS_PER_DAY = 86_400.0
FEWEST_HELD_OUT = 120
"""Examples that a condition keeps for proving it again; with fewer, a proof has too little power."""
_FEWEST_OF_DECAY = 60
"""The same where a model decayed: nothing is kept of them, and six blocks of bets find a gain that is plain."""


@dataclass(frozen=True, eq=False)
class Material:
    """One stretch that may be trained on.

    Attributes
    ----------
    segment : its features, as the judge compares windows with them
    training, held_out : (n, ...) uint8 each, the earlier and the later part of its examples
    thresholds : by which its stream is judged
    """

    incident: Incident
    stretch: Stretch
    cause: Cause
    golden: StoredBaseline
    segment: Segment
    training: Examples
    held_out: Examples
    thresholds: Thresholds

    @property
    def proving(self) -> Examples:
        """(120, ...) of the held-out examples: by them a model is proved on the stretch, and a condition keeps them."""
        return self.held_out[spread_blocks(len(self.held_out), FEWEST_HELD_OUT)]

    @property
    def taken_at(self) -> float:
        """Capture time of its last frame; where there is none, of the incident's latest window."""
        taken_at = self.stretch.block.capture_time(-1)
        return self.incident.latest_at if taken_at is None else taken_at

    def require_first_of_its_cause(self, proved: Sequence[ConditionRecord], ended: Sequence[ConditionRecord]) -> None:
        """Raise `NothingToLearnFrom` if the stream has, or had, a condition of the same cause that this is unlike.

        Footage that has left such a condition shows a fault that grows. A condition for each step of it would lead
        the judge along until nothing fails any more. Footage that is like an ended condition may be proved afresh.
        """
        for condition in (*proved, *ended):
            same = (condition.stream, condition.cause, condition.golden_id)
            if same != (self.stretch.stream, self.cause, self.golden.id):
                continue
            if (condition in proved and condition.is_live(self.taken_at)) or not self._is_like(condition):
                raise NothingToLearnFrom(
                    f"there is a condition of {self.cause} already, and this footage is not like it: "
                    "the fault grows or changes, and is not learned step by step; look at the camera"
                )

    def require_uniform(self) -> None:
        """Raise `NothingToLearnFrom` if a window of the stretch would not match a condition of the whole of it.

        Something else rides along in it, which the judge calls by the same cause; it would be learned with the rest.
        """
        if not self._matches(Condition(_unproved(self), self.segment)):
            raise NothingToLearnFrom(
                f"{self.stretch.name} is not of one kind, though all of it shows {self.cause}: wait for footage "
                "that is, or look at the camera"
            )

    def require_like(self, others: Sequence[Material]) -> None:
        """Raise `NothingToLearnFrom` if an earlier stretch of the same stream and cause is unlike this one."""
        for other in others:
            same = other.stretch.stream == self.stretch.stream and other.cause is self.cause
            if same and not self._matches(Condition(_unproved(other), other.segment)):
                raise NothingToLearnFrom(
                    f"{self.stretch.name} is not like {other.stretch.name}, though both show {self.cause}: "
                    "the fault grows or changes, and only its first footage is learned; look at the camera"
                )

    def _is_like(self, condition: ConditionRecord) -> bool:
        """Return whether the stretch would match a condition if it were live."""
        try:
            return self._matches(load_condition(condition))
        except BadModel:
            return False

    def _matches(self, condition: Condition) -> bool:
        """Return whether every window of the stretch, one after the other, passes beside a condition."""
        frames, block = self.golden.baseline.rule.frames, self.stretch.block
        return all(
            judge(
                self.golden.baseline,
                block[start : start + frames],
                threshold=self.thresholds.score,
                p_value=self.thresholds.p_value,
                conditions=[condition],
            ).status
            is Status.PASS
            for start in range(0, len(block) - frames + 1, frames)
        )


def _unproved(material: Material) -> ConditionRecord:
    """Return the record of a stretch that no model is proved on."""
    return ConditionRecord(
        id=material.stretch.name,
        stream=material.stretch.stream,
        cause=material.cause,
        incident=material.incident.id,
        golden_id=material.golden.id,
        path="",
        digest="",
        gain_db=0.0,
        proved=material.taken_at,
        expires=material.taken_at,
    )


def expiry(proved: float, settings: Settings) -> float:
    """Return when a condition that was proved on footage of this time expires, seconds since the epoch."""
    return proved + settings.condition_days * _SECONDS_PER_DAY


def gather(
    incident: Incident,
    stretch: Stretch,
    cause: Cause,
    golden: StoredBaseline,
    kind: ModelKind[Model],
    settings: Settings,
    number: int,
) -> Material:
    """Return the footage of a stretch that may be trained on for `cause`, if there is enough of it.

    Parameters
    ----------
    number : the how manieth decision about the model will be made on it; later ones need more examples

    Raises
    ------
    NothingToLearnFrom
        If it shows no motion to learn, or is too short; the message says which.
    BadSource
        If its frames can no longer be read.
    """
    modality = golden.baseline.feature_spec.modality
    if modality != kind.modality:
        raise NothingToLearnFrom(
            f"{stretch.name} is of modality {modality}, and model {kind.name} is trained on {kind.modality}: "
            "name a model of that modality in the stream's table"
        )
    resembled = Counter(window.segment for window in stretch.windows).most_common(1)[0][0]
    segment = fit_condition(stretch.name, stretch.block, golden.baseline, resembled)
    most = round(settings.retrain_max_triplets * examples_factor(settings.promote_error, number))
    examples = fit_examples(kind, stretch, settings, most)
    if (elsewhere := kind.why_elsewhere(examples, golden_examples(golden))) is not None:
        raise NothingToLearnFrom(
            f"{stretch.name}: {elsewhere}. If it is to look like this, say so with `sentinel streams accept`"
        )
    split = kind.split_stretch(len(examples))
    fewest = _FEWEST_OF_DECAY if cause is Cause.MODEL_DECAY else FEWEST_HELD_OUT
    if len(split.held_out) < fewest:
        raise NothingToLearnFrom(
            f"{stretch.name} gives {len(examples)} examples, of which {len(split.held_out)} can be held out; "
            f"{fewest} are needed to prove a model on: wait for more footage, and keep the files in place"
        )
    return Material(
        incident,
        stretch,
        cause,
        golden,
        segment,
        training=examples[split.training],
        held_out=examples[split.held_out],
        thresholds=Thresholds.of(settings_of_stream(settings, incident.stream)),
    )


def golden_examples(golden: StoredBaseline) -> Examples:
    """Return the golden examples (n, ...) uint8 of a stream, with whose view its footage is compared.

    Raises
    ------
    NothingToLearnFrom
        If its baseline keeps none.
    """
    try:
        examples = pictures.golden_examples(golden.folder)
    except BadBaseline as error:
        raise NothingToLearnFrom(str(error)) from error
    if examples is None or not len(examples):
        raise NothingToLearnFrom(
            f"baseline {golden.baseline.name!r} keeps no golden frames to compare the view with: rebuild it from "
            "moving footage; one that is learned keeps them if the files that it learns from stay in place"
        )
    return examples


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


def conditions_of(
    store: Store, materials: Sequence[Material], model: str, gains_db: Sequence[float], settings: Settings
) -> list[ConditionRecord]:
    """Store a condition for each stream: of its first stretch, which the others are like.

    A stream that was forgotten meanwhile gets none, and neither does footage on which only the model had decayed: it
    passes the golden baseline by itself.

    Raises
    ------
    BadModel
        If one cannot be written.
    """
    firsts: dict[str, tuple[Material, float]] = {}
    for material, gain in zip(materials, gains_db, strict=True):
        if material.cause is not Cause.MODEL_DECAY and store.streams.is_known(material.stretch.stream):
            firsts.setdefault(material.stretch.stream, (material, gain))
    return [_condition_of(material, model, gain, settings) for material, gain in firsts.values()]


def _condition_of(material: Material, model: str, gain_db: float, settings: Settings) -> ConditionRecord:
    """Store the footage of a stretch as a condition, and return its record."""
    stretch = material.stretch
    identity = content_id(stretch.stream, material.incident.id, stretch.first, len(stretch.block))
    folder = condition_folder(settings.state_dir, model, identity)
    digest = save_condition(folder, material.segment, material.proving)
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
