"""Feature groups: which features a modality makes, and how the judge compares each group of them."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Any, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from common.contracts.ids import Message, without_empty

MOTION = "motion"
"""A compared column: natural log of the relative step of a group from one sample to the next."""
REPEATED = "repeated"
"""A compared column: 1 where a sample equals the previous one exactly, which no live source produces; else 0."""
VIEW_COLUMNS = ("shift", "rotation", "zoom", "mirrored", "lost", "obscured")
"""The compared columns of a group of kind VIEW, see `GroupKind`: shift of the picture in shares of its width; degrees;
natural log of the magnification; 1 where the picture is a mirror image, else 0; 1 where nothing of the golden view is
found in it, else 0; where the golden view is found upright, and is steady, the share of what stands still that is not
seen in its place, else 0."""


class GroupKind(StrEnum):
    """How the columns of a group are judged."""

    JOINT = "joint"
    """Together: their distances, in units of their spreads, are averaged to one."""
    COLUMNS = "columns"
    """Each by itself, in its own unit."""
    VIEW = "view"
    """Stored are small pictures: width, height, then grey levels row by row, then zeros. Compared is how what stands
    still in them lies on the golden pictures, as columns `VIEW_COLUMNS`."""


class TileSummary(StrEnum):
    """How the tiles of a family become one compared column."""

    SHARED = "shared"
    """Median over the tiles of each tile's deviation from its own reference median: what all tiles do."""
    NONE = "none"
    """They do not: the family is only read for the columns in `FeatureGroup.sequences`."""


class SequenceSummary(StrEnum):
    """How the tiles of a family become a compared column that says how the samples follow each other."""

    STEP = "step"
    """Absolute change common to all tiles from one sample to the next."""
    UNEVEN_STEP = "uneven_step"
    """Typical absolute change of the tiles from one sample to the next, beside the change common to all of them."""
    SWING = "swing"
    """Absolute deviation, common to all tiles, of a sample from the samples before and after it."""


class SequenceColumn(Message):
    """A compared column made from the sequence of samples."""

    family: str = Field(description="of the tiles that it is made from")
    summary: SequenceSummary
    minimum_effect: float = Field(gt=0, allow_inf_nan=False, description="the smallest change that matters")


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
    steady: tuple[SteadyColumn, ...] = Field(
        (), description="columns that light hardly moves, of this group or of another"
    )
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
    columns: tuple[str, ...] = Field((), description="names of the stored columns, of a group of kind COLUMNS")
    minimum_effects: tuple[float, ...] = Field(
        description="the smallest change of each column that matters, in its own unit (of kind VIEW: of each of "
        "VIEW_COLUMNS); of a joint group, the smallest distance, in units of its columns' spreads"
    )
    clean_effects: tuple[float, ...] = Field(
        (),
        description="the smallest bound of each compared column, from clean footage of other cameras; empty: the "
        "minimum effects are used",
    )
    gross_distances: tuple[float, ...] = Field(
        (),
        description="distance of each compared column that no clean footage of other cameras comes near; empty: "
        "not known",
    )
    tiles: dict[str, TileSummary] = Field(
        {}, description="families of columns, named `family.00`, `family.01`, ..., that are compared as one column"
    )
    sequences: dict[str, SequenceColumn] = Field({}, description="compared columns made from the sequence of samples")
    steps_of: str | None = Field(
        None,
        description="the group whose steps from one sample to the next are compared with this one, as columns `motion` "
        "and `repeated`: itself, or a joint group that is computed of every sample",
    )
    ambient: Ambient | None = Field(
        None, description="what light does to its columns; None: baselines learned over days cannot tell lights apart"
    )
    native_size: str | None = Field(
        None,
        description="the family of two columns, only read, that are width and height of each sample in pixels",
    )
    scaled: tuple[str, ...] = Field(
        (), description="compared columns that depend on the number of pixels: not judged where that is not golden's"
    )
    shaped: tuple[str, ...] = Field(
        (), description="compared columns that depend on the aspect ratio: not judged where that is not golden's"
    )
    delivery: bool = Field(
        False,
        description="its columns say how the samples arrive, not what they show: golden's may be constant, and "
        "conditions take them as they are, for healing changes nothing of it",
    )

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what groups of earlier versions do not have, so that the digests of their baselines stay."""
        return without_empty(
            handler(self),
            ("clean_effects", "gross_distances", "sequences", "native_size", "scaled", "shaped", "delivery"),
        )

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        wanted = {GroupKind.JOINT: 1, GroupKind.COLUMNS: self.size, GroupKind.VIEW: len(VIEW_COLUMNS)}[self.kind]
        names = self.size if self.kind is GroupKind.COLUMNS else 0
        if len(self.minimum_effects) != wanted or len(self.columns) != names or len(set(self.columns)) != names:
            raise ValueError(
                f"group {self.name!r} of {self.size} columns needs {wanted} minimum effects and {names} different "
                f"names, it has {len(self.minimum_effects)} and {len(self.columns)}"
            )
        effects = (*self.minimum_effects, *self.clean_effects, *self.gross_distances)
        if not all(math.isfinite(effect) and effect > 0 for effect in effects):
            raise ValueError(f"effects and distances of group {self.name!r} must be positive numbers")
        if unknown := {column.family for column in self.sequences.values()} - set(self.tiles):
            raise ValueError(f"group {self.name!r} has no tiles {', '.join(sorted(unknown))} to make columns from")
        if self.kind is not GroupKind.COLUMNS and (self.tiles or self.steps_of):
            raise ValueError(f"group {self.name!r} of kind {self.kind} has neither tiles nor steps")
        if self.native_size is not None and self.tiles.get(self.native_size) is not TileSummary.NONE:
            raise ValueError(
                f"group {self.name!r} compares its columns {self.native_size!r}, which are only to be read"
            )
        size_columns = (f"{self.native_size}.00", f"{self.native_size}.01")
        if self.native_size is not None and not set(size_columns) <= set(self.columns):
            raise ValueError(f"group {self.name!r} has no columns {' and '.join(size_columns)}: width and height")
        return self


def check_groups(groups: tuple[FeatureGroup, ...]) -> tuple[FeatureGroup, ...]:
    """Return `groups`; raise `ValueError` if there are none, or they do not go together."""
    kinds = {group.name: group.kind for group in groups}
    if not groups or len(kinds) < len(groups):
        raise ValueError("a modality needs at least one group, and different names for them")
    for group in groups:
        if group.steps_of not in {None, group.name} and kinds.get(group.steps_of) is not GroupKind.JOINT:
            raise ValueError(
                f"group {group.name!r} compares steps of {group.steps_of!r}, which is neither itself nor a joint group"
            )
    return groups
