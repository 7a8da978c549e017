"""Kinds of model by name: what entry points offer, and a clear word about what they do not."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from common.errors import BadModel
from common.models import kinds
from common.models.kinds import GROUP, kind_names, load_kind
from common.models.vfi.kind import KIND


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entry points as packages install them: the one that ships, and some that are broken."""
    values = {"vfi": "common.models.vfi.kind:KIND", "gone": "nowhere.at.all:KIND", "json": "json:dumps"}
    found = EntryPoints(EntryPoint(name, value, GROUP) for name, value in values.items())
    monkeypatch.setattr(kinds, "entry_points", lambda *, group: found.select(group=group))


def test_the_model_that_ships_is_found_by_its_name(offered: None) -> None:
    assert load_kind("vfi") is KIND
    assert kind_names() == ["gone", "json", "vfi"]


def test_the_installed_package_offers_the_model_that_ships() -> None:
    assert load_kind("vfi") is KIND


def test_an_unknown_model_is_refused_with_what_there_is_and_the_nearest_name(offered: None) -> None:
    with pytest.raises(BadModel, match=r"'vfy' \(there are: gone, json, vfi\): did you mean 'vfi'\?"):
        load_kind("vfy")


def test_without_any_model_the_package_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "entry_points", lambda **_: EntryPoints())
    with pytest.raises(BadModel, match="install Sentinel again"):
        load_kind("vfi")


def test_a_model_that_cannot_be_imported_is_refused_with_what_it_names(offered: None) -> None:
    with pytest.raises(BadModel, match=r"'nowhere\.at\.all:KIND', which cannot be imported"):
        load_kind("gone")


def test_something_else_than_a_kind_of_model_is_refused(offered: None) -> None:
    with pytest.raises(BadModel, match="is no kind of model"):
        load_kind("json")
