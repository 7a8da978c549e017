"""The main job on real parts: a dropped file, a camera's events and a one-shot check say the same."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest

from common.broker import EMBED_TASK, make_app
from common.contracts.batches import SourceKind
from common.contracts.dead_letters import DeadLetter, DeadLetterKind
from common.contracts.events import EventType
from common.contracts.verdicts import Verdict
from common.modalities.video.decode import sampled_frames
from common.settings import Settings
from common.sources.limits import Limits
from common.store import keys
from common.store.client import without_password
from sentinel.demo.footage import drop
from tests.sentinel.conftest import Running, wait_until
from tests.sentinel.watching import events, figures, verdicts, wait_for_batches

FRAMES = 60  # one full window and one more after the stride


@pytest.fixture(scope="module")
def stills(stack: Running) -> list[Path]:
    """The first frames of the clean clip as lossless images, in a folder that cameras may name."""
    folder = stack.world.folder / "frames" / "cam"
    folder.mkdir(parents=True)
    paths = []
    frames = sampled_frames(
        stack.world.folder / "clean.mp4", SourceKind.RECORDING, sample_fps=None, start=0, stop=FRAMES, limits=Limits()
    )
    for frame in frames:
        paths.append(folder / f"{frame.index:04d}.png")
        assert cv2.imwrite(str(paths[-1]), cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
    return paths


def test_a_dropped_clean_video_passes_just_as_the_one_shot_check_says(stack: Running) -> None:
    drop(stack.world.folder / "clean.mp4", stack.world.watch_dir / "site" / "dock 3é")
    wait_for_batches(stack, "site/dock 3é")
    queued = verdicts(stack, "site/dock 3é")
    assert {row.status for row in queued} == {"PASS"}
    checked = stack.world.run("check", str(stack.world.folder / "clean.mp4"), "--baseline", "golden", "--json")
    assert checked.returncode == 0, checked.stderr
    windows = [Verdict.model_validate(row) for row in json.loads(checked.stdout)["windows"]]
    assert [row[:3] for row in figures(windows)] == [row[:3] for row in figures(queued)]
    assert [row.drift_score for row in windows] == pytest.approx([row.drift_score for row in queued], abs=1e-6)


def test_frames_named_by_camera_events_and_a_dropped_folder_of_them_give_the_same_verdict(
    stack: Running, stills: list[Path]
) -> None:
    for path in stills:
        fields = {
            "specversion": "1.0", "id": path.stem, "source": "/cameras/cam7", "type": "io.sentinel.frame.v1",
            "datacontenttype": "image/png", "dataref": f"file://{path}",
        }  # fmt: skip
        stack.store.client.xadd("sentinel:ingest", fields)  # type: ignore[arg-type]
        stack.store.client.xadd("sentinel:ingest", fields)  # type: ignore[arg-type]  # a camera that sends twice
    target = stack.world.watch_dir / "folderdrop" / "batch one"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(stills[0].parent, target)
    wait_for_batches(stack, "cam7", FRAMES)
    wait_for_batches(stack, "folderdrop")
    by_event, by_folder = verdicts(stack, "cam7"), verdicts(stack, "folderdrop")
    assert by_event
    assert figures(by_event)[0] == figures(by_folder)[0]
    reports = [e.report for e in events(stack, "cam7", EventType.BATCH_COMPLETE)]
    assert sum(report.frames for report in reports) == FRAMES, "an event that came twice counts once"


def test_an_image_inside_an_event_counts_as_one_named_by_it(stack: Running, stills: list[Path]) -> None:
    fields = {
        "specversion": "1.0", "id": "1", "source": "/cameras/inline", "type": "io.sentinel.frame.v1",
        "datacontenttype": "image/png", "data": stills[0].read_bytes(),
    }  # fmt: skip
    stack.store.client.xadd("sentinel:ingest", fields)  # type: ignore[arg-type]
    wait_for_batches(stack, "inline")
    (event,) = events(stack, "inline", EventType.BATCH_COMPLETE)
    assert event.report.frames == 1


def test_a_camera_that_falls_silent_is_an_incident_until_its_frames_come_again(
    stack: Running, stills: list[Path]
) -> None:
    def send(number: int) -> None:
        fields = {
            "specversion": "1.0", "id": str(number), "source": "/cameras/gate", "type": "io.sentinel.frame.v1",
            "datacontenttype": "image/png", "dataref": f"file://{stills[number]}",
        }  # fmt: skip
        stack.store.client.xadd("sentinel:ingest", fields)  # type: ignore[arg-type]
        wait_for_batches(stack, "gate", number + 1)

    config = stack.world.folder / "sentinel.toml"
    config.write_text("[streams.gate]\noffline_seconds = 2\n")
    try:
        send(0)
        # A past of a frame a second, which a test does not wait for.
        rhythm = {f"{int(time.time() // 86_400)}:0": 3600}
        stack.store.client.hset(keys.stream_key("gate", "rhythm"), mapping=rhythm)  # type: ignore[arg-type]
        wait_until("the incident", lambda: events(stack, "gate", EventType.INCIDENT_OPENED))
        listed = json.loads(stack.world.run("incidents", "list", "--stream", "gate", "--json").stdout)
        assert [(row["state"], row["cause"]) for row in listed] == [("offline", "offline")]
        send(1)
        wait_until("its end", lambda: events(stack, "gate", EventType.INCIDENT_CLOSED))
        assert len(events(stack, "gate", EventType.INCIDENT_OPENED)) == 1
    finally:
        config.write_text("")


def test_a_celery_client_may_hand_a_source_in_by_task_name(stack: Running) -> None:
    app = make_app(Settings(_env_file=None, redis_url=stack.info.redis_url))  # type: ignore[call-arg]
    app.send_task(EMBED_TASK, kwargs={"stream": "celery", "uri": str(stack.world.folder / "clean.mp4")}, queue="embed")
    wait_for_batches(stack, "celery")
    app.close()
    assert {row.status for row in verdicts(stack, "celery")} == {"PASS"}


def test_bad_files_become_dead_letters_that_say_what_to_do_and_the_stream_goes_on(stack: Running) -> None:
    folder = stack.world.watch_dir / "mixed"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "notes.mp4").write_text("this is no video\n" * 50)
    (folder / "empty.mp4").touch()
    cv2.imwrite(str(folder / "dot.png"), np.zeros((1, 1, 3), np.uint8))
    whole = (stack.world.folder / "golden.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    stack.store.client.xadd("sentinel:ingest", {"specversion": "0.3", "id": "x", "source": "/cameras/bad"})
    stack.store.client.xadd(
        "sentinel:ingest",
        {"specversion": "1.0", "id": "y", "source": "/cameras/bad", "type": "io.sentinel.frame.v1", "dataref": "file:///etc/passwd"},
    )  # fmt: skip
    drop(stack.world.folder / "clean.mp4", folder)
    wait_for_batches(stack, "mixed")
    assert {row.status for row in verdicts(stack, "mixed")} == {"PASS"}

    def dead_letters() -> dict[str, str]:
        return {Path(row.subject).name: row.reason for row in stack.store.event_log.dead_letters()}

    wait_until(
        "six dead letters", lambda: {"notes.mp4", "empty.mp4", "dot.png", "event x", "event y"} <= set(dead_letters())
    )
    found = dead_letters()
    assert "notes.mp4" in found["notes.mp4"]
    assert "empty" in found["empty.mp4"]
    assert "1" in found["dot.png"] and "dot.png" in found["dot.png"]
    assert "specversion" in found["event x"]
    assert "SENTINEL_ALLOWED_ROOTS" in found["event y"]
    shown = stack.world.run("dead", "list")
    assert shown.returncode == 0
    assert "specversion" in shown.stdout


def test_a_chunk_that_was_given_up_is_tried_again_from_another_shell(stack: Running) -> None:
    """The shell knows neither the private Redis nor the baseline: the running stack says so."""
    folder = stack.world.watch_dir / "torn"
    folder.mkdir(parents=True, exist_ok=True)
    image = folder / "torn.png"
    assert cv2.imwrite(str(image), np.random.default_rng(0).integers(0, 255, (360, 640, 3), np.uint8))
    whole = image.read_bytes()
    image.write_bytes(whole[: len(whole) // 2])

    def torn() -> list[DeadLetter]:
        return [letter for letter in stack.store.event_log.dead_letters() if "torn.png" in letter.subject]

    wait_until("the torn image to be given up", torn)
    (letter,) = torn()
    assert letter.kind is DeadLetterKind.CHUNK
    shell = {k: v for k, v in stack.world.environment.items() if k not in {"SENTINEL_BASELINE", "SENTINEL_WATCH_DIR"}}
    command = [sys.executable, "-m", "sentinel", "dead", "retry", letter.id]
    done = subprocess.run(command, env=shell, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "accepted" in done.stdout
    wait_until(
        "it to be given up again, with a reason of its own", lambda: [x.id for x in torn()] not in ([], [letter.id])
    )


def test_flower_shows_the_workers_to_whoever_has_the_password(stack: Running) -> None:
    def page(user: str) -> str:
        """Ask for what Flower's own page of workers asks for."""
        request = urllib.request.Request(f"{stack.info.flower_url}/workers?json=1")
        request.add_header("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
        # An opener of its own: urllib's global one keeps the proxies that an earlier test had set.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=10) as answer:
                return str(answer.read().decode())
        except OSError as error:
            return str(error)

    def all_there() -> bool:
        shown = page("sentinel:secret")
        return all(f"{queue}@" in shown for queue in ("embed", "reduce", "retrain"))

    wait_until("Flower to list the workers", all_there)
    assert "401" in page("sentinel:guess")


def test_a_second_start_says_that_one_is_running_and_where(stack: Running) -> None:
    second = stack.world.run("up")
    assert second.returncode == 3
    assert str(stack.info.pid) in second.stderr
    assert without_password(stack.info.redis_url) in second.stderr
    assert stack.info.redis_url not in second.stderr


def test_status_and_events_show_what_happened(stack: Running) -> None:
    status = json.loads(stack.world.run("status", "--json").stdout)
    assert {"site/dock 3é", "cam7"} <= {row["stream"] for row in status["streams"]}
    listed = json.loads(stack.world.run("events", "--json", "--limit", "3").stdout)
    assert len(listed) == 3
