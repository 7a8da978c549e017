"""Is what two versions say the same? Every digit of every field that the older one has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

RENAMED: Mapping[str, str] = {
    # 0.1 -> 0.2
    "regime": "segment",
    "views": "feature_groups",
    "view": "group",
    "recipe": "feature_spec",
    "route": "decode_pipeline",
    "sensor_floors": "minimum_effects",
    "usual": "quality.median",
    # 0.3 -> 0.4: arrays of a segment are named by their groups
    "embedding": "embedding.values",
    "embedding_spread": "embedding.spread",
    "embedding_bound": "embedding.bound",
    "embedding_size": "embedding.size",
    "quality": "quality.values",
    "quality_spread": "quality.spread",
    "quality_bound": "quality.bound",
    "quality_size": "quality.size",
    "reference_median": "quality.median",
}
"""Fields of verdicts and arrays of baselines that the newer version calls otherwise, old name -> new name. A name that
is not listed here and is gone is a difference."""

GONE: frozenset[str] = frozenset(
    {
        # 0.2 -> 0.3
        "remedy",  # of a verdict: what a cause calls for is the policy's matter
        "replay",  # among a baseline's arrays: golden triplets are the model's, and lie beside them
        # 0.3 -> 0.4: `groups` says what they said
        "sensor_names",
        "sensor_floors",
        "minimum_effects",
        "embedding_size",
    }
)
"""Fields of verdicts and arrays of baselines that the newer version does without, on purpose."""

NUMBERS_OF_FORMATS: frozenset[str] = frozenset({"format"})
"""Fields that say which version wrote a message: they differ where everything else is the same."""

_MOST_SHOWN = 12  # differences of one verdict


@dataclass
class Comparison:
    """What was compared.

    Attributes
    ----------
    same : how many values are the same
    differences : a line for each that is not
    added : names of fields that only the newer version has
    """

    same: int = 0
    differences: list[str] = field(default_factory=list)
    added: set[str] = field(default_factory=set)

    def include(self, other: Comparison, what: str) -> None:
        """Count what was found of `what` in."""
        self.same += other.same
        self.added |= other.added
        shown = other.differences[:_MOST_SHOWN]
        if len(other.differences) > len(shown):
            shown.append(f"and {len(other.differences) - len(shown)} more")
        self.differences += [f"{what}: {line}" for line in shown]


def compare_values(base: Any, new: Any) -> Comparison:
    """Compare parsed JSON of two versions, field by field."""
    found = Comparison()
    for place, left, right in _pairs(base, new, "", found):
        # JSON prints the shortest digits that give the same float back: equal values are equal to the last digit.
        if type(left) is type(right) and left == right:
            found.same += 1
        else:
            found.differences.append(f"{place} was {left!r}, is {right!r}")
    return found


def _pairs(base: Any, new: Any, place: str, found: Comparison) -> Iterator[tuple[str, Any, Any]]:
    """Yield the leaves of `base` with what `new` has there; note what only `new` has."""
    if isinstance(base, dict) and isinstance(new, dict):
        compared = [name for name in base if name not in NUMBERS_OF_FORMATS and (name in new or name not in GONE)]
        names = {name: name if name in new else RENAMED.get(name, name) for name in compared}
        found.added |= set(new) - set(names.values()) - NUMBERS_OF_FORMATS
        for name, now in names.items():
            at = f"{place}.{name}".lstrip(".")
            if now not in new:
                yield at, base[name], "(gone)"
            else:
                yield from _pairs(base[name], new[now], at, found)
    elif isinstance(base, list) and isinstance(new, list):
        if len(base) != len(new):
            yield f"length of {place or 'list'}", len(base), len(new)
        for number, (left, right) in enumerate(zip(base, new, strict=False)):
            yield from _pairs(left, right, f"{place}[{number}]", found)
    else:
        yield place, base, new


def compare_arrays(base: Path, new: Path) -> Comparison:
    """Compare the arrays of two baselines' folders, file by file where names agree."""
    found = Comparison()
    theirs, ours = ({path.name for path in folder.glob("*.np[yz]")} for folder in (base, new))
    for name in sorted(theirs - ours):
        found.differences.append(f"file {name} is gone")
    found.added |= ours - theirs
    for name in sorted(theirs & ours):
        left, right = _arrays(base / name), _arrays(new / name)
        names = {key: key if key in right else _renamed_array(key) for key in left if key in right or key not in GONE}
        found.added |= {f"{name}/{key}" for key in set(right) - set(names.values())}
        for key, array in left.items():
            if key not in names:
                continue
            now = right.get(names[key])
            if now is None:
                found.differences.append(f"array {name}/{key} is gone")
            elif array.dtype != now.dtype or not np.array_equal(array, now):
                found.differences.append(f"array {name}/{key} is another")
            else:
                found.same += 1
    return found


def _renamed_array(name: str) -> str:
    """Return what the newer version calls an array; arrays of a segment are named `NUMBER.COLUMN`."""
    number, dot, column = name.partition(".")
    return f"{number}{dot}{RENAMED.get(column, column)}"


def _arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of a .npy or .npz by name; a pickle in it is refused."""
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return {"": loaded}
    with loaded as file:
        return {name: file[name] for name in file.files}
