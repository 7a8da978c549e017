"""Learning a camera: what a stream without a baseline learns with, and how far it is."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from common.contracts.batches import FeatureSpec
from common.contracts.coverage import Coverage
from common.contracts.feature_groups import FeatureGroup, check_groups
from common.contracts.ids import Message, StreamName, content_id
from common.contracts.stored import StoredMessage

FIRST_EPOCH = "0"
"""The epoch in which a stream learns until a person accepts another normal picture."""


class PreparedFeatures(Message):
    """What an embedding worker says of the features that it makes for a modality, by its settings."""

    feature_spec: FeatureSpec = Field(description="without a sampling rate")
    groups: Annotated[tuple[FeatureGroup, ...], AfterValidator(check_groups)]
    clean_ratios: tuple[float, ...] = Field((), description="see `BaselineManifest`")
    libraries: dict[str, str] = Field(description="versions of the libraries that make the features")


class LearningPlan(StoredMessage):
    """How a stream learns. It is chosen from the stream's first source and kept, so that all footage is made alike."""

    id: str = Field(description="identifies what is learned, whatever is added to it")
    stream: StreamName
    feature_spec: FeatureSpec
    groups: Annotated[tuple[FeatureGroup, ...], AfterValidator(check_groups)]
    clean_ratios: tuple[float, ...] = Field((), description="see `BaselineManifest`")
    libraries: dict[str, str]
    window_frames: int = Field(ge=2)
    window_stride: int = Field(ge=1)
    source: str = Field(description="URI of the source that it was chosen from")
    began_at: float = Field(description="seconds since the epoch")

    def id_of(self, epoch: str) -> str:
        """Return what verdicts of an epoch name as their baseline; see `epoch_id`."""
        return epoch_id(self.id, epoch)


class LearningStatus(Message):
    """How far a stream is with learning."""

    epoch: str
    bursts: int = Field(ge=0, description="bursts of frames that are kept")
    pictures: int = Field(ge=0, description="frame triplets that are kept for healing")
    no_pictures: str = Field("", description="why none are kept; empty: some are, or none could be read yet")
    bytes: int = Field(ge=0, description="size of the bursts on disk")


class LearningProgress(Message):
    """What a stream has learned, as it is shown to people."""

    bursts: int = Field(ge=0, description="bursts of frames that are kept")
    waiting: int = Field(ge=0, description="bursts that are not learned yet")
    pictures: int = Field(ge=0, description="frame triplets that are kept for healing")
    no_pictures: str = Field("", description="why none are kept on purpose; empty: nothing keeps them from being kept")
    coverage: Coverage | None = Field(
        description="how much of the day, the week and the light it has seen, and which false-alarm rate that holds; "
        "None: nothing yet"
    )
    asks: str = Field("", description="what a person has to answer before it learns; empty: nothing")


def epoch_id(plan_id: str, epoch: str) -> str:
    """Return what verdicts of an epoch name as their baseline: it stays the same while the stream learns on."""
    return plan_id if epoch == FIRST_EPOCH else content_id(plan_id, epoch)


def progress_of(
    status: LearningStatus | None, coverage: Coverage | None, *, waiting: int, blind_by: str, stream: str
) -> LearningProgress:
    """Return what a stream has learned.

    Parameters
    ----------
    status, coverage : of the stream's epoch; None: nothing was learned yet
    waiting : bursts that wait for the learner
    blind_by : cause of its open incident; empty: there is none
    """
    asks = ""
    if coverage is None and blind_by:
        asks = (
            f"it began with a picture that is {blind_by}, which is not learned: look at the camera, and it learns as "
            f"soon as it sees; if it is to look like this, `sentinel streams accept {stream}`"
        )
    return LearningProgress(
        bursts=status.bursts if status else 0,
        waiting=waiting,
        pictures=status.pictures if status else 0,
        no_pictures=status.no_pictures if status else "",
        coverage=coverage,
        asks=asks,
    )
