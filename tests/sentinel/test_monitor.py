"""What the one-shot container judges by, and as whom it writes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sentinel.monitor import NoVerdict, Places, judged_by, monitor

SOMEBODY = 12345


@pytest.fixture
def places() -> Iterator[Places]:
    with TemporaryDirectory() as name:  # pytest's own folders are closed to other users
        folder = Path(name)
        folder.chmod(0o755)
        for part in ("footage", "status", "baked"):
            (folder / part).mkdir()
        yield Places(
            footage=folder / "footage",
            status=folder / "status",
            baseline=folder / "baseline",
            golden=folder / "golden",
            baked=folder / "baked",
        )


def put(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "baseline.json").write_text("{}")


def test_what_is_mounted_comes_before_what_is_built_in(places: Places) -> None:
    put(places.baked / "dock")
    assert judged_by(places) == ["--baseline", str(places.baked / "dock")]
    places.golden.mkdir()
    assert judged_by(places)[0] == "--baseline", "an empty folder is no golden footage"
    (places.golden / "golden.mp4").touch()
    assert judged_by(places) == ["--golden", str(places.golden)]
    put(places.baseline)
    assert judged_by(places) == ["--baseline", str(places.baseline)]


def test_of_several_that_are_built_in_one_has_to_be_named(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SENTINEL_BASELINE", raising=False)
    with pytest.raises(NoVerdict, match="--build-arg"):
        judged_by(places)
    for name in ("dock", "gate"):
        put(places.baked / name)
    with pytest.raises(NoVerdict, match="dock, gate"):
        judged_by(places)
    monkeypatch.setenv("SENTINEL_BASELINE", "gate")
    assert judged_by(places) == ["--baseline", str(places.baked / "gate")]


def test_a_baseline_may_be_built_in_alone(places: Places) -> None:
    put(places.baked)
    assert judged_by(places) == ["--baseline", str(places.baked)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as the owner of a folder")
def test_the_status_belongs_to_the_owner_of_its_folder(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    os.chown(places.status, SOMEBODY, SOMEBODY)
    places.status.chmod(0o700)
    assert monitor(places) == 3
    status = places.status / "status.json"
    assert (status.stat().st_uid, status.stat().st_gid) == (SOMEBODY, SOMEBODY)
    assert json.loads(status.read_text()) == json.loads(capsys.readouterr().out)
    assert os.geteuid() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user, and root again")
def test_a_folder_that_cannot_be_written_is_found_before_the_work(
    places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    os.seteuid(SOMEBODY)
    try:
        assert monitor(places) == 3
    finally:
        os.seteuid(0)
    said = json.loads(capsys.readouterr().out)
    assert said["status"] == "ERROR"
    assert "--user" in said["message"]
    assert list(places.status.iterdir()) == []
