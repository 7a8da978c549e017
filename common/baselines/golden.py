"""By what a stream is judged: a baseline that somebody named or accepted, or one that the stream learns by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from common.baselines.storage import StoredBaseline
from common.contracts.batches import FeatureSpec
from common.contracts.coverage import Coverage
from common.contracts.feature_groups import FeatureGroup
from common.contracts.golden import GoldenRecord
from common.contracts.learning import LearningPlan, LearningStatus
from common.drift.windows import WindowRule
from common.errors import BadBaseline, NotLearned


class ComesFrom(StrEnum):
    """Who said that a baseline is a stream's golden one."""

    TABLE = "table"
    """The stream's table in sentinel.toml."""
    SETTINGS = "settings"
    """SENTINEL_BASELINE."""
    LEARNED = "learned"
    """Nobody named one: it is learned from the stream's own footage."""
    ACCEPTED = "accepted"
    """A person, who accepted footage of this stream in place of what the table or the settings name, or was learned."""


@dataclass(frozen=True)
class Learning:
    """What a stream learns by itself.

    Attributes
    ----------
    plan : how it learns
    epoch : since the stream began, or since a person accepted another normal picture
    folder : of the epoch, see `common.baselines.learning.epoch`
    status, coverage : how far it is; None: nothing was learned yet
    """

    plan: LearningPlan
    epoch: str
    folder: Path
    status: LearningStatus | None
    coverage: Coverage | None

    @property
    def id(self) -> str:
        """What verdicts name as their baseline; it stays the same while the stream learns on."""
        return self.plan.id_of(self.epoch)


@dataclass(frozen=True)
class Golden:
    """The golden baseline of a stream.

    Attributes
    ----------
    stored : what the stream is judged by; None: it is learning, and has not seen enough yet
    comes_from : who said so
    origin_id : id of the baseline of the stream's table or of the settings, or of what it learned first; that of
        `stored`, unless a person has accepted another
    latest : the latest record of the stream's history over that origin, if there is one; it may have been undone
    learning : what is learned on; None: the baseline does not change
    """

    stored: StoredBaseline | None
    comes_from: ComesFrom
    origin_id: str
    latest: GoldenRecord | None
    learning: Learning | None = None

    @property
    def id(self) -> str:
        """What verdicts name as their baseline."""
        return self.learning.id if self.learning is not None else self.require().id

    @property
    def feature_spec(self) -> FeatureSpec:
        """How the features of the stream's frames are made."""
        return self.stored.baseline.feature_spec if self.stored else self._plan.feature_spec

    @property
    def groups(self) -> tuple[FeatureGroup, ...]:
        """The groups of features that frames have."""
        return self.stored.baseline.groups if self.stored else self._plan.groups

    @property
    def clean_ratios(self) -> tuple[float, ...]:
        """See `Baseline`."""
        return self.stored.baseline.clean_ratios if self.stored else self._plan.clean_ratios

    @property
    def rule(self) -> WindowRule:
        """Length and stride of the stream's windows."""
        if self.stored is not None:
            return self.stored.baseline.rule
        return WindowRule(frames=self._plan.window_frames, stride=self._plan.window_stride)

    @property
    def name(self) -> str:
        """Name of the baseline; of one that is learned, of the stream."""
        return self.stored.baseline.name if self.stored else self._plan.stream

    @property
    def _plan(self) -> LearningPlan:
        if self.learning is None:
            raise BadBaseline("there is neither a baseline nor a plan to learn one")
        return self.learning.plan

    @property
    def libraries(self) -> Mapping[str, str]:
        """Versions of the libraries that its features are made with."""
        return self.stored.baseline.libraries if self.stored else self._plan.libraries

    @property
    def folder(self) -> Path:
        """Folder of the baseline, or of what is learned."""
        return self.learning.folder if self.learning is not None else self.require().folder

    @property
    def is_origin(self) -> bool:
        """Whether no person has accepted another one."""
        return self.comes_from is not ComesFrom.ACCEPTED

    def require(self) -> StoredBaseline:
        """Return the baseline; raise `NotLearned` while there is none."""
        if self.stored is None:
            raise NotLearned(
                f"stream {self._plan.stream!r} is learning and has no baseline yet: give it more footage; "
                "`sentinel streams show` says how far it is"
            )
        return self.stored
