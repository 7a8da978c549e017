"""Feature groups: which features a modality makes, and how the judge compares each group of them."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from common.contracts.ids import Message

MOTION = "motion"
"""A compared column: natural log of the relative step of a group from one sample to the next."""
REPEATED = "repeated"
"""A compared column: 1 where a sample equals the previous one exactly, which no live source produces; else 0."""


class GroupKind(StrEnum):
    """How the columns of a group are judged."""

    JOINT = "joint"
    """Together: their distances, in units of their spreads, are averaged to one."""
    COLUMNS = "columns"
    """Each by itself, in its own unit."""


class TileSummary(StrEnum):
    """How the tiles of a family become one compared column."""

    SHARED = "shared"
    """Median over the tiles of each tile's deviation from its own reference median: what all tiles do."""
    REARRANGED = "rearranged"
    """Typical absolute deviation of the tiles after the deviation common to all of them has been subtracted."""


class SteadyColumn(Message):
    """A compared column that hardly follows the light, and how far it must move to count in an hour not yet known.

    Other columns cannot be judged there: whether the light of an hour that was never seen is right, nobody knows.
    """

    column: str
    minimum_effect: float = Field(gt=0, description="in the unit of the column; with `over`, in natural logs")
    over: str | None = Field(
        None,
        description="a second column: the natural log of their ratio is compared, which gain leaves alone",
    )
    at_similar_light: bool = Field(False, description="judged only where golden footage of similar light is known")


class Ambient(Message):
    """What the hour of the day and the weather do to the columns of a group, and which columns they leave alone."""

    light: str = Field(description="the compared column that is the level of light, in natural logs")
    infrared: str = Field(description="the compared column that is near zero while the camera sees by infra-red light")
    infrared_below: float = Field(gt=0, description="the camera sees by infra-red light where `infrared` is below this")
    steady: tuple[SteadyColumn, ...] = Field((), description="columns that light hardly moves")
    steps: dict[str, float] = Field(
        {}, description="columns that light moves, but never in a step that lasts: the smallest step that is a fault's"
    )
    without_history: dict[str, float] = Field(
        {}, description="columns that need no golden footage: the mean over a window from which on it fails"
    )
    covered: dict[str, float] = Field(
        {},
        description="columns by which hardly anything can be seen: the mean over a window from which on a stream that "
        "begins so is taken for covered, and a person is asked",
    )


class FeatureGroup(Message):
    """One group of features. A modality declares its groups, a baseline stores those that it was made of."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    kind: GroupKind
    size: int = Field(ge=1, description="number of stored columns")
    columns: tuple[str, ...] = Field((), description="names of the stored columns; a joint group has none")
    minimum_effects: tuple[float, ...] = Field(
        description="the smallest change of each column that matters, in its own unit; of a joint group, the smallest "
        "distance, in units of its columns' spreads"
    )
    tiles: dict[str, TileSummary] = Field(
        {}, description="families of columns, named `family.00`, `family.01`, ..., that are compared as one column"
    )
    steps_of: str | None = Field(
        None, description="a joint group whose steps are compared with this one, as columns `motion` and `repeated`"
    )
    ambient: Ambient | None = Field(
        None, description="what light does to its columns; None: baselines learned over days cannot tell lights apart"
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        wanted, names = (1, 0) if self.kind is GroupKind.JOINT else (self.size, self.size)
        if len(self.minimum_effects) != wanted or len(self.columns) != names or len(set(self.columns)) != names:
            raise ValueError(
                f"group {self.name!r} of {self.size} columns needs {wanted} minimum effects and {names} different "
                f"names, it has {len(self.minimum_effects)} and {len(self.columns)}"
            )
        if not all(math.isfinite(effect) and effect > 0 for effect in self.minimum_effects):
            raise ValueError(f"minimum effects of group {self.name!r} must be positive numbers")
        if self.kind is GroupKind.JOINT and (self.tiles or self.steps_of):
            raise ValueError(f"the columns of joint group {self.name!r} are compared as they are")
        return self


def check_groups(groups: tuple[FeatureGroup, ...]) -> tuple[FeatureGroup, ...]:
    """Return `groups`; raise `ValueError` if there are none, or they do not go together."""
    kinds = {group.name: group.kind for group in groups}
    if not groups or len(kinds) < len(groups):
        raise ValueError("a modality needs at least one group, and different names for them")
    for group in groups:
        if group.steps_of is not None and kinds.get(group.steps_of) is not GroupKind.JOINT:
            raise ValueError(f"group {group.name!r} compares steps of {group.steps_of!r}, which is no joint group")
    return groups
