"""Modalities are found by their entry points; one that is missing, broken or of another name holds up no other."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from common.contracts.batches import FIRST_MODALITY, SourceKind
from common.errors import BadModality, BadSource
from common.modalities import registry
from common.modalities.video.modality import VIDEO
from common.sources.limits import Limits
from common.sources.local import describe_kind, modality_of


def forget() -> None:
    for cached in (registry.modality_names, registry.load_modality, registry.suffixes):
        cached.cache_clear()


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EntryPoint]]:
    """The entry points that installed packages offer; a test adds its own."""
    entries = [EntryPoint("video", "common.modalities.video.modality:VIDEO", registry.GROUP)]
    monkeypatch.setattr(registry, "entry_points", lambda *, group: EntryPoints(entries).select(group=group))
    forget()
    yield entries
    forget()


class Rival:
    """Video under another name."""

    name = "rival"

    def __getattr__(self, name: str) -> object:
        return getattr(VIDEO, name)


RIVAL = Rival()


def test_this_installation_offers_video() -> None:
    assert FIRST_MODALITY in registry.modality_names()
    assert registry.load_modality(FIRST_MODALITY) is VIDEO


def test_what_is_not_installed_is_refused_with_what_there_is(offered: list[EntryPoint]) -> None:
    with pytest.raises(BadModality, match=r"'csv' \(there are: video\): install its package"):
        registry.load_modality("csv")
    offered.clear()
    forget()
    with pytest.raises(BadModality, match=r"pip install -e"):
        registry.load_modality("video")


@pytest.mark.parametrize(
    ("value", "reason"),
    [("gone.nowhere:X", "cannot be imported"), ("json:loads", "no modality"), (f"{__name__}:RIVAL", "of this name")],
)
def test_a_broken_modality_is_refused_and_the_others_go_on(
    offered: list[EntryPoint], value: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    offered.append(EntryPoint("broken", value, registry.GROUP))
    with pytest.raises(BadModality, match=reason):
        registry.load_modality("broken")
    assert describe_kind(Path("clip.mp4")) is SourceKind.RECORDING
    assert "its files are ignored" in caplog.text


def test_of_two_that_claim_a_suffix_the_first_by_name_has_it(
    offered: list[EntryPoint], caplog: pytest.LogCaptureFixture
) -> None:
    offered.append(EntryPoint("rival", f"{__name__}:RIVAL", registry.GROUP))
    with caplog.at_level(logging.ERROR):
        assert registry.modality_name_of("clip.mp4") == "rival"
    assert "both claim .mp4 files" in caplog.text


def test_a_source_has_the_modality_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "a.PNG").touch()
    assert modality_of(tmp_path, Limits()) is VIDEO
    assert modality_of(tmp_path / "a.PNG", Limits()) is VIDEO
    with pytest.raises(BadSource, match=r"is no video \(\.3gp .*\), no image \(\.avif .*\) and no folder of images"):
        modality_of(tmp_path / "a.xyz", Limits())
