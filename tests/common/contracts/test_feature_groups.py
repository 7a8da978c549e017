"""Declarations of feature groups: what does not go together is refused where it is declared."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from common.contracts.feature_groups import FeatureGroup, GroupKind, TileSummary, check_groups

COLUMNS: dict[str, Any] = {
    "name": "press", "kind": GroupKind.COLUMNS, "size": 2, "columns": ("a", "b"), "minimum_effects": (0.1, 0.2),
}  # fmt: skip
JOINT: dict[str, Any] = {"name": "embedding", "kind": GroupKind.JOINT, "size": 5, "minimum_effects": (0.15,)}


@pytest.mark.parametrize(
    "wrong",
    [
        {**COLUMNS, "columns": ("a",)},
        {**COLUMNS, "columns": ("a", "a")},
        {**COLUMNS, "minimum_effects": (0.1,)},
        {**COLUMNS, "minimum_effects": (0.1, 0.0)},
        {**COLUMNS, "minimum_effects": (0.1, float("nan"))},
        {**COLUMNS, "name": "with.dot"},
        {**COLUMNS, "size": 0},
        {**JOINT, "minimum_effects": (0.1,) * 5},
        {**JOINT, "columns": ("a", "b", "c", "d", "e")},
        {**JOINT, "steps_of": "embedding"},
        {**JOINT, "tiles": {"a": TileSummary.SHARED}},
        {**COLUMNS, "sequences": {"s": {"family": "c", "summary": "step", "minimum_effect": 0.1}}},
        {
            **COLUMNS,
            "tiles": {"c": "none"},
            "sequences": {"s": {"family": "c", "summary": "step", "minimum_effect": 0}},
        },
        {**COLUMNS, "native_size": "a"},
        {**COLUMNS, "tiles": {"a": "none"}, "native_size": "a"},
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FeatureGroup(**wrong)


def test_groups_that_do_not_go_together_are_refused() -> None:
    press, embedding = FeatureGroup(**COLUMNS), FeatureGroup(**JOINT)
    stepping = press.model_copy(update={"steps_of": "embedding"})
    assert check_groups((embedding, stepping)) == (embedding, stepping)
    by_itself = press.model_copy(update={"steps_of": press.name})
    assert check_groups((by_itself,)) == (by_itself,)
    with pytest.raises(ValueError, match="neither itself nor a joint group"):
        check_groups((stepping,))
    with pytest.raises(ValueError, match="different names"):
        check_groups((press, press))
    with pytest.raises(ValueError, match="at least one"):
        check_groups(())
