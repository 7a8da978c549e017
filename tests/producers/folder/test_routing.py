"""Where a path goes: rules on names alone."""

from __future__ import annotations

from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.batches import SourceKind
from common.sources.media_types import is_ignored, kind_of, natural_order
from producers.folder.routing import destination_of


@pytest.mark.parametrize(
    ("path", "stream", "unit"),
    [
        ("dock/clip.mp4", "dock", "dock/clip.mp4"),
        ("site/dock 3/clip.mp4", "site/dock 3", "site/dock 3/clip.mp4"),
        ("dock/0001.jpg", "dock", "dock/0001.jpg"),
        ("dock/monday/0001.jpg", "dock", "dock/monday"),
        ("site/dock 3/monday/0001.jpg", "site/dock 3", "site/dock 3/monday"),
        ("clip.mp4", "", "clip.mp4"),
        ("0001.jpg", "", "0001.jpg"),
    ],
)
def test_the_path_alone_says_where_a_file_goes(path: str, stream: str, unit: str) -> None:
    kind = kind_of(path)
    assert kind is not None
    place = destination_of(PurePath(path), kind, marked=False)
    assert (place.stream, place.unit) == (stream, PurePath(unit))


def test_the_marker_makes_a_nested_folder_a_stream_of_single_images() -> None:
    place = destination_of(PurePath("site/dock 3/0001.jpg"), SourceKind.IMAGE, marked=True)
    assert (place.stream, place.unit, place.kind) == (
        "site/dock 3",
        PurePath("site/dock 3/0001.jpg"),
        SourceKind.IMAGE,
    )


@pytest.mark.parametrize(
    "name",
    (
        *(".hidden.mp4", ".clip.mp4.Xa81bQ", "clip.mp4.tmp", "clip.mp4.PART", "clip.mp4.partial", "clip.crdownload"),
        *("clip.mp4~", ".clip.mp4.swp", "clip.mp4.filepart", "~$clip.mp4", ".stream"),
    ),
)
def test_hidden_and_temporary_names_are_passed_over(name: str) -> None:
    assert is_ignored(name)


@pytest.mark.parametrize("name", ["clip.mp4", "template.mp4", "part.jpg", "Über.MOV", "a.tmp.mp4"])
def test_names_that_only_look_temporary_are_not_passed_over(name: str) -> None:
    assert not is_ignored(name)


def test_a_name_claims_what_its_suffix_says_in_any_case() -> None:
    assert kind_of("A.MP4") is SourceKind.RECORDING
    assert kind_of("b.JpG") is SourceKind.IMAGE
    assert kind_of("notes.txt") is None
    assert kind_of("no suffix") is None


@given(st.lists(st.integers(0, 10**6), unique=True))
def test_numbered_names_are_in_the_order_of_their_numbers(numbers: list[int]) -> None:
    paths = [PurePath(f"s/frame {n}.jpg") for n in numbers]
    assert sorted(paths, key=natural_order) == [PurePath(f"s/frame {n}.jpg") for n in sorted(numbers)]


@given(st.lists(st.text(st.characters(exclude_characters="/\0"), min_size=1).filter(lambda t: t not in {".", ".."})))
def test_any_names_can_be_put_in_order(names: list[str]) -> None:
    sorted((PurePath(name) for name in names), key=natural_order)
