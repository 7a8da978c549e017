"""The report of a check of real video: pictures of what failed beside golden, settings, versions, nothing to load."""

from __future__ import annotations

import base64
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.baselines.storage import StoredBaseline
from common.contracts.verdicts import Status
from common.extraction import Extractor
from common.features import Image
from common.settings import Settings
from common.small_pictures import LONGEST_SIDE
from common.store import Store
from sentinel import album as taking
from sentinel.album import Album, album_of, reference_of
from sentinel.check import CheckResult, check, runs
from sentinel.pages import Gallery
from sentinel.report import Evidence, scores, write_report
from sentinel.stream_report import write_stream_report
from tests.browser import find_browser, running_browser
from tests.common.builders import verdict
from tests.consumers.test_retrain_trigger import announce, know
from tests.footage import scene, write_clip
from tests.sentinel.test_stream_report import jpeg, keep_pictures
from tests.sentinel.tiny_check import FPS, OWN, RULE, Silent, tiny_baseline, tiny_extractor

CHROMIUM = find_browser()
HOSTILE = "<script>alert(1)</script><img src=x>[/red]"
MOST_BYTES = 2_000_000


@dataclass(frozen=True)
class Camera:
    """A backbone, and a baseline that keeps examples of what it was made from."""

    extractor: Extractor
    stored: StoredBaseline


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Camera:
    extractor = tiny_extractor(tmp_path_factory.mktemp("model"))
    frames = scene(30)
    replay = np.stack([np.stack(frames[at : at + 3]) for at in range(0, 30, 3)])
    return Camera(extractor, tiny_baseline(extractor, tmp_path_factory.mktemp("baseline"), name=HOSTILE, replay=replay))


def noisy(frames: Sequence[Image], first: int, last: int) -> list[Image]:
    rng = np.random.default_rng(1)
    spoilt = [np.clip(image + rng.normal(0, 60, image.shape), 0, 255).astype(np.uint8) for image in frames[first:last]]
    return [*frames[:first], *spoilt, *frames[last:]]


def judged(
    camera: Camera, path: Path, clips: Sequence[Path], settings: Settings = OWN
) -> tuple[CheckResult, Album | None, str]:
    """Check clips as the command does; return the result, the pictures, and the page that it writes to `path`."""
    album = album_of(settings, camera.stored)
    result = check(clips, camera.stored, camera.extractor, settings, Silent(), album)
    shots = album.shots() if album is not None else {}
    write_report(result, path, settings, Evidence(camera.stored, shots, reference_of(settings, camera.stored)))
    return result, album, path.read_text(encoding="utf-8")


def pictures_in(text: str) -> list[Image]:
    found = [base64.b64decode(row) for row in re.findall(r"data:image/jpeg;base64,([^\"]+)", text)]
    return [np.asarray(cv2.imdecode(np.frombuffer(row, np.uint8), cv2.IMREAD_COLOR)) for row in found]


def roughness(image: Image) -> float:
    return float(np.median(np.abs(np.diff(image.astype(float), axis=1))))


def test_each_failed_run_shows_a_frame_of_its_worst_window_beside_golden(camera: Camera, tmp_path: Path) -> None:
    clean = write_clip(tmp_path / "clean.mp4", scene(240), fps=FPS)
    broken = write_clip(tmp_path / "<b>broken.mp4", noisy(scene(240), 100, 160), fps=FPS)
    result, album, text = judged(camera, tmp_path / "report.html", [clean, broken])
    failed = [run for run in runs(result.windows) if run.worst.status is Status.FAIL]
    assert failed
    assert album is not None
    shots = album.shots()
    assert set(shots) == {run.first.id for run in failed}
    for run in failed:
        shot = shots[run.first.id]
        assert shot.verdict == run.worst
        assert shot.source in run.worst.sources
        assert abs(shot.time - run.worst.worst_frames[0].time) <= RULE.frames / 4 / FPS * 2
    golden, *shown = pictures_in(text)
    assert len(shown) == len(failed)
    assert all(max(image.shape) <= LONGEST_SIDE for image in (golden, *shown))
    assert max(map(roughness, shown)) > 3 * roughness(golden)
    assert "&lt;b&gt;broken.mp4 at " in text


def test_footage_that_passes_shows_golden_alone(camera: Camera, tmp_path: Path) -> None:
    clean = write_clip(tmp_path / "clean.mp4", scene(240), fps=FPS)
    lenient = OWN.model_copy(update={"drift_threshold": 1.0})
    result, _, text = judged(camera, tmp_path / "report.html", [clean], lenient)
    assert result.status is Status.PASS
    (golden,) = pictures_in(text)
    assert golden.shape == scene(1)[0].shape


def test_where_no_pictures_are_kept_none_is_shown(camera: Camera, tmp_path: Path) -> None:
    broken = write_clip(tmp_path / "broken.mp4", noisy(scene(80), 0, 80), fps=FPS)
    private = OWN.model_copy(update={"keep_pictures": "off"})
    result, album, text = judged(camera, tmp_path / "report.html", [broken], private)
    assert result.status is Status.FAIL
    assert album is None
    assert "<img" not in text


def test_a_baseline_with_zones_to_ignore_shows_no_whole_frame_of_its_own(camera: Camera, tmp_path: Path) -> None:
    zones = camera.extractor.feature_spec(None).model_copy(update={"ignore": ((0.0, 0.0, 0.5, 0.1),)})
    masked = tiny_baseline(camera.extractor.following(zones), tmp_path, replay=np.zeros((4, 3, 8, 8, 3), np.uint8))
    assert reference_of(OWN, masked) is None
    plain = tiny_baseline(camera.extractor, tmp_path, replay=np.zeros((4, 7), np.uint8))
    assert reference_of(OWN, plain) is None, "these examples are no pictures"


def test_of_many_failed_runs_the_worst_have_a_picture(
    camera: Camera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "MOST_SHOTS", 1)
    frames = noisy(noisy(scene(240), 60, 90), 170, 200)
    result, album, _ = judged(camera, tmp_path / "report.html", [write_clip(tmp_path / "a.mp4", frames, fps=FPS)])
    failed = [run for run in runs(result.windows) if run.worst.status is Status.FAIL]
    assert len(failed) > 1
    assert album is not None
    (shot,) = album.shots().values()
    assert shot.verdict.drift_score == max(run.worst.drift_score for run in failed)


def test_it_says_what_was_set_and_what_it_was_made_with_and_no_secret(camera: Camera, tmp_path: Path) -> None:
    own = Settings(
        _env_file=None,  # type: ignore[call-arg]
        p_value=0.04, policy="noise=train", redis_url="redis://:s3cret@h/1", page_token="s3cret",
        alert_webhooks="https://h/s3cret", mqtt_url="mqtt://u:s3cret@h",
        mqtt_in_url="mqtt://u:s3cret@h", github_token="s3cret",
    )  # fmt: skip
    clean = write_clip(tmp_path / "clean.mp4", scene(240), fps=FPS)
    _, _, text = judged(camera, tmp_path / "report.html", [clean], own)
    spec = camera.stored.baseline.feature_spec
    for name, value in (
        ("SENTINEL_P_VALUE", "0.04"),
        ("SENTINEL_DRIFT_THRESHOLD", "0.3"),
        ("SENTINEL_POLICY", "noise=train"),
        ("Python", platform.python_version()),
        ("its digest", camera.stored.id),
        ("its weights", spec.weights),
    ):
        assert f"<tr><td>{name}</td><td>{value}</td></tr>" in text
    assert "SENTINEL_WINDOW_FRAMES" not in text, "it was not set"
    assert "s3cret" not in text


def test_a_long_check_stays_small() -> None:
    windows = [verdict(status=Status.FAIL if n == 2_500 else Status.PASS, stop=48 + 12 * n) for n in range(5_000)]
    drawn = scores(windows, 0.3)
    assert len(drawn.columns) <= drawn.width
    assert [column.look for column in drawn.columns].count(Status.FAIL) == 1, (
        "of windows at one place the worst is drawn"
    )


def test_pictures_that_make_a_page_large_are_left_out() -> None:
    gallery = Gallery()
    shown = [gallery.show(bytes(100_000), str(n)) for n in range(20)]
    kept = [row for row in shown if row is not None]
    assert 0 < len(kept) < 20
    assert gallery.left_out == 20 - len(kept)
    assert sum(len(row.data) for row in kept) < MOST_BYTES / 2 + 1


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: install one to see the reports in a browser")
def test_both_reports_open_from_a_file_in_a_browser_and_ask_for_nothing(
    camera: Camera, store: Store, settings: Settings, tmp_path: Path
) -> None:
    broken = write_clip(tmp_path / f"{HOSTILE.replace('/', '')}.mp4", noisy(scene(80), 0, 80), fps=FPS)
    judged(camera, tmp_path / "check.html", [broken])
    know(store, HOSTILE)
    announce(store, verdict(stream=HOSTILE, status=Status.PASS))
    announce(store, verdict(stream=HOSTILE, stop=96))
    keep_pictures(store, HOSTILE, [jpeg(0), jpeg(1)])
    write_stream_report(store, settings, HOSTILE, tmp_path / "stream.html", since=0.0)
    assert CHROMIUM is not None
    with running_browser(CHROMIUM, tmp_path) as browser:
        for file in (tmp_path / "check.html", tmp_path / "stream.html"):
            assert file.stat().st_size < MOST_BYTES
            browser.requests.clear()
            browser.go(file.as_uri())
            browser.wait("document.readyState === 'complete' && location.protocol === 'file:'")
            assert browser.run("[...document.images].map(i => i.naturalWidth > 0)") == [True, True]
            assert [url for url in browser.requests if not url.startswith("data:")] == [file.as_uri()]
            assert HOSTILE in browser.text()
            assert browser.run("document.scripts.length") == 0
            assert browser.run("document.querySelector('svg').getBoundingClientRect().height") > 100
            browser.size(390, 844)
            assert browser.run("document.documentElement.scrollWidth <= innerWidth"), "it fits a phone"
            browser.size(1280, 900, dark=True)
            browser.screenshot(tmp_path / f"{file.stem}.png", whole=True)
        assert browser.problems == []
