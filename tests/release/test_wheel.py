"""The wheel holds what runs, data files too, and nothing else; it runs without the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from common.version import VERSION
from release.distributions import Contents, build, read_wheel, wrong_in_metadata, wrong_in_wheel
from release.tree import ROOT, export, packages, shipped

# Reads one file of every kind that is no code, as the program does, and says from where the code came.
_READ_DATA = """
import json
import common, dashboard.app, redis, sentinel
from common.modalities.video.clean_drift import clean_drift
from common.models.kinds import kind_names
from common.models.rife.kind import KIND as RIFE
from common.models.vfi.kind import KIND as VFI
from common.store.client import load_script
from sentinel.pages import page_template
page_template("report.html.j2")
print(json.dumps({
    "from": [common.__file__, dashboard.app.__file__, sentinel.__file__],
    "kinds": kind_names(),
    "clips": len(clean_drift().clips),
    "script": load_script(redis.Redis(), "commit_window").sha,
    "weights": [len(kind.shipped_model().weights) for kind in (VFI, RIFE)],
    "page": (dashboard.app.STATIC / "index.html").stat().st_size,
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    (path,) = build(export(ROOT, folder / "source"), folder / "dist", "--wheel")
    return path


def test_it_has_every_tracked_file_of_the_packages_and_nothing_else(wheel: Path) -> None:
    contents = read_wheel(wheel)
    assert wrong_in_wheel(contents, ROOT, VERSION) == []
    assert {path.partition("/")[0] for path in shipped(ROOT)} == set(packages(ROOT))


def test_what_is_missing_too_much_or_secret_is_found(wheel: Path) -> None:
    files = dict(read_wheel(wheel).files)
    del files["common/store/scripts/promote.lua"]
    files["tests/test_it.py"] = b""
    files["common/notes.py"] = b"-----BEGIN RSA PRIVATE KEY-----\n" + 64 * b"A"
    files["sentinel/.env"] = b""
    wrong = wrong_in_wheel(Contents(wheel.name, files), ROOT, VERSION)
    assert [line for line in wrong if "promote.lua" in line] == ["not in the wheel: common/store/scripts/promote.lua"]
    assert any(line.endswith("git does not know it: tests/test_it.py") for line in wrong)
    assert {"looks like a secret: common/notes.py", "looks like a secret: sentinel/.env"} <= set(wrong)
    assert wrong_in_metadata(b"Metadata-Version: 2.4\nName: sentinel drift!\n", VERSION)


def test_it_runs_from_a_folder_of_its_own(wheel: Path, tmp_path: Path) -> None:
    unpacked, elsewhere = tmp_path / "unpacked", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    own = {name: value for name, value in os.environ.items() if not name.startswith(("SENTINEL_", "PYTHON"))}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=elsewhere, env={**own, "PYTHONPATH": str(unpacked)},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("-m", "sentinel", "--version") == f"sentinel {VERSION}\n"
    told = json.loads(run("-c", _READ_DATA))
    assert all(Path(path).is_relative_to(unpacked) for path in told["from"])
    assert set(told["kinds"]) >= {"vfi", "rife"}
    assert told["clips"] > 10
    assert told["script"]
    assert min(told["weights"]) > 0
    assert told["page"] > 0
