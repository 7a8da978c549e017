"""The version stands in one place, and whatever shows it agrees."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

from packaging.version import Version

from common.baselines.build import library_versions
from common.extraction import Extractor
from common.modalities.video.modality import VIDEO
from common.sources.limits import Limits
from common.version import VERSION
from release.tree import ROOT
from sentinel.pages import version_rows

_HEADING = re.compile(r"^## (\d+\.\d+\.\d+)( \(unreleased\))?$", re.MULTILINE)


def test_the_changelog_begins_with_this_version_which_is_unreleased_while_it_is_in_development() -> None:
    (first, unreleased), *earlier = _HEADING.findall((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    version = Version(VERSION)
    assert str(version) == VERSION, "as packaging tools write it"
    assert first == version.base_version
    assert bool(unreleased) == version.is_devrelease, "a release is no longer unreleased, see CONTRIBUTING.md"
    assert not any(mark for _, mark in earlier)
    assert [Version(name) for name, _ in earlier] == sorted((Version(name) for name, _ in earlier), reverse=True)
    assert Version(earlier[0][0]) < version


def test_the_project_takes_the_version_from_the_code() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"] == {"version": {"attr": "common.version.VERSION"}}


def test_the_command_line_reports_and_new_baselines_show_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sentinel", "--version"], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == f"sentinel {VERSION}\n"
    assert ("Sentinel", VERSION) in version_rows()
    assert library_versions(Extractor(VIDEO, None, Limits()))["sentinel-drift"] == VERSION
