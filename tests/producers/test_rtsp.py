"""Live cameras end to end: real servers, a real Redis, what is handed in and when, and nothing twice."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import av
import pytest

from common.contracts.batches import FrameBatch
from common.contracts.cameras import CameraState
from common.features import Image, TimeSource
from common.ingest.accept import Ingestor
from common.settings import Settings
from common.store import Store, keys
from producers.cameras.segments import folder_name, segment_at
from producers.rtsp import Cameras
from sentinel.forget import forget
from tests.footage import scene, write_clip
from tests.hostile.cameras import HostileCamera, changing_pictures, playing
from tests.network import Network, needs_network
from tests.producers.live import (
    FPS,
    camera_clip,
    http_camera,
    motion_jpeg,
    needs_rtsp_server,
    rtsp_server,
    until,
    whole_body,
)


class Site:
    """The process that fetches cameras, in a thread, with a sentinel.toml that a test writes."""

    def __init__(self, settings: Settings, store: Store, config: Path) -> None:
        self.settings = settings.model_copy(update={"config": config, "segment_seconds": 1.0, "camera_seconds": 2.0})
        self.store = store
        self.config = config

    def write(self, text: str) -> None:
        self.config.write_text(text)

    def camera(self, url: str, more: str = "", stream: str = "dock") -> None:
        self.write(f'[streams.{stream}]\nurl = "{url}"\n{more}\n')

    @contextmanager
    def running(self, **own: object) -> Iterator[Cameras]:
        ingestor = Ingestor(self.settings.model_copy(update=own), self.store)
        cameras = Cameras(ingestor.settings, self.store, ingestor)
        stop, failures = threading.Event(), list[BaseException]()

        def run() -> None:
            try:
                cameras.run(stop)
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield cameras
            assert not failures
        finally:
            stop.set()
            thread.join(20)
            ingestor.close()
        assert not thread.is_alive()
        assert not failures

    def files(self, stream: str = "dock") -> list[Path]:
        return sorted((self.settings.live_dir / folder_name(stream)).glob("20*.mp4"))

    def batches(self, stream: str = "dock") -> list[FrameBatch]:
        found = self.store.client.keys(keys.stream_key(stream, "batch:*"))
        rows = [FrameBatch.from_json(self.store.client.hget(key, "message") or b"") for key in found]
        return sorted(rows, key=lambda row: row.source.taken_at or 0.0)

    def state(self) -> CameraState:
        """Return what the process says of the camera; nothing yet where it has said nothing."""
        return self.store.cameras.of(["dock"]).get("dock") or CameraState(stream="dock", url="")

    def judge(self, stream: str = "dock") -> None:
        """Let all that was handed in be judged."""
        for key in self.store.client.keys(keys.stream_key(stream, "batch:*")):
            self.store.client.hset(key, "unreduced", 0)


@pytest.fixture
def site(with_baseline: Settings, store: Store, tmp_path: Path) -> Site:
    return Site(with_baseline, store, tmp_path / "live.toml")


def size(path: Path) -> tuple[int, int]:
    with av.open(str(path)) as container:
        return container.streams.video[0].width, container.streams.video[0].height


def frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def pictures(path: Path) -> list[Image]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]


def test_what_an_http_camera_sends_is_handed_in_with_its_times(site: Site) -> None:
    before = time.time()
    with http_camera(motion_jpeg(60), user="bob", password="hunter2") as port:
        (site.config.parent / "secret").write_text("hunter2\n")
        site.camera(f"http://127.0.0.1:{port}/video", 'user = "bob"\npassword_file = "secret"')
        with site.running():
            until(lambda: len(site.batches()) >= 4)
            until(lambda: site.state().connected)
            state = site.state()
    assert (state.connected, state.codec, state.width, state.height) == (True, "mjpeg", 96, 64)
    batches = site.batches()
    times = [row.source.taken_at or 0.0 for row in batches]
    assert all(row.source.time_source is TimeSource.EVENT for row in batches)
    assert all(before <= at <= time.time() for at in times) and times == sorted(times)
    assert {Path(row.source.uri) for row in batches} <= set(site.files())
    assert sum(frames(file) for file in site.files()[:4]) >= 25  # ten per second, where the machine keeps up


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel does not keep to a bound")
def test_the_process_that_demuxes_what_cameras_send_has_bounded_memory(site: Site) -> None:
    code = (
        "import resource, threading; from common.settings import get_settings; from producers.rtsp import main\n"
        "stop = threading.Event(); stop.set(); main(get_settings(), stop, lambda: None)\n"
        "print(resource.getrlimit(resource.RLIMIT_DATA)[0])"
    )
    own = {"SENTINEL_REDIS_URL": site.settings.redis_url or "", "SENTINEL_MAX_MEMORY_MB": "1234"}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **own}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1234000000\n"


def test_a_segment_counts_once_however_often_the_process_dies_and_comes_back(site: Site) -> None:
    with http_camera(motion_jpeg(60)) as port:
        site.camera(f"http://127.0.0.1:{port}/video")
        with site.running():
            until(lambda: len(site.batches()) >= 2)
    site.camera("http://127.0.0.1:9/nobody")
    counted = {row.id for row in site.batches()}
    before = set(site.files())
    with site.running():
        until(lambda: len(site.batches()) >= len(before))
        until(lambda: site.state().why)
    assert set(site.files()) == before, "what was stored at the stop is handed in after it"
    assert counted <= {row.id for row in site.batches()}
    assert {Path(row.source.uri) for row in site.batches()} == before
    assert len(site.batches()) == len(before)


def test_what_a_process_handed_in_before_it_died_is_not_opened_again(site: Site) -> None:
    with http_camera(motion_jpeg(60)) as port:
        site.camera(f"http://127.0.0.1:{port}/video")
        with site.running():
            until(lambda: len(site.batches()) >= 3)
            site.camera("http://127.0.0.1:9/nobody")
            until(lambda: len(site.batches()) >= len(site.files()) and site.state().why)
    first, *others = site.batches()
    site.store.client.hset(keys.stream_key("dock", "batch", first.id), "unreduced", 0)
    for file in site.files():
        file.write_bytes(b"opened, it would be refused")
    with site.running() as cameras:
        shelf = cameras.spool.shelf("dock")
        until(lambda: len(shelf.judged) + len(shelf.judging) >= len(site.files()))
        assert [str(segment.path) for segment in shelf.judged] == [first.source.uri]
        assert [str(segment.path) for segment in shelf.judging] == [row.source.uri for row in others]
    assert list(site.store.event_log.dead_letters()) == []


def test_a_camera_that_ends_is_asked_again_and_nothing_is_counted_twice(site: Site) -> None:
    sent = []

    def answer(to: BaseHTTPRequestHandler) -> None:
        sent.append(time.time())
        motion_jpeg(2.5, seed=len(sent))(to)

    with http_camera(answer) as port:
        site.camera(f"http://127.0.0.1:{port}/video")
        with site.running():
            until(lambda: len(sent) >= 3)
            until(lambda: site.state().connections >= 3)
            site.judge()
    stored = [frames(file) for file in site.files()]
    assert sum(stored) <= 25 * len(sent)
    assert sum(stored) >= 24 * 2, "what came before each end is there"
    times = [row.source.taken_at or 0.0 for row in site.batches()]
    assert len(set(times)) == len(times)


def test_a_slow_stack_loses_the_oldest_unjudged_footage_and_says_so(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    with http_camera(motion_jpeg(120)) as port:
        site.camera(f"http://127.0.0.1:{port}/video")
        with site.running(spool_mb=10) as cameras:
            until(lambda: len(site.batches()) >= 6)
            most = sum(file.stat().st_size for file in site.files()) + 1
            cameras.spool.most = most  # less than a setting may say, for a test that is quick
            until(lambda: cameras.spool.lost.get("dock", 0) >= 2)
            handed_in = {Path(row.source.uri) for row in site.batches()}
            assert len(handed_in) == 6, "the rest waits in the spool, where it can be removed"
            until(lambda: site.state().lost >= 2)
    assert handed_in <= set(site.files()), "what is being judged stays"
    assert sum(file.stat().st_size for file in site.files()) <= 1.5 * most
    assert "SENTINEL_SPOOL_MB" in caplog.text


def test_of_two_processes_with_one_spool_the_second_waits_for_the_end_of_the_first(site: Site) -> None:
    with http_camera(motion_jpeg(60)) as port:
        site.camera(f"http://127.0.0.1:{port}/video")
        with ExitStack() as ended:
            ended.enter_context(site.running())
            until(site.batches)
            with site.running() as second:
                until(lambda: second._said)
                assert "another process" in second._said[""] and not second._readers
                ended.close()
                until(lambda: second._readers)
    assert len(site.batches()) == len({row.source.uri for row in site.batches()})


def test_a_stream_that_is_forgotten_begins_anew(site: Site) -> None:
    with http_camera(motion_jpeg(120)) as port:
        site.camera(f"http://127.0.0.1:{port}/video")
        with site.running():
            until(lambda: len(site.batches()) >= 6)  # as many as may wait to be judged
            before = {row.id for row in site.batches()}
            forget(site.store, site.settings, "dock")
            until(lambda: {row.id for row in site.batches()} - before)
    assert not list(site.store.event_log.dead_letters())


def test_what_redis_no_longer_knows_holds_no_place_among_what_is_being_judged(site: Site) -> None:
    with http_camera(motion_jpeg(120)) as port:
        site.camera(f"http://127.0.0.1:{port}/video")
        with site.running() as cameras:
            until(lambda: len(site.batches()) >= 6)  # as many as may wait to be judged
            site.store.client.flushall()
            until(lambda: len(site.batches()) >= 2)
            assert not cameras.spool.lost


def test_while_redis_is_full_segments_wait_and_none_is_lost(site: Site) -> None:
    with http_camera(motion_jpeg(60)) as port:
        site.camera(f"http://127.0.0.1:{port}/video")
        with site.running() as cameras:
            site.store.client.set("filler", b"x" * 3_000_000)
            site.store.settings = site.settings.model_copy(update={"backlog_mb": 1})
            until(lambda: len(site.files()) >= 3)
            assert not site.batches()
            site.store.settings = site.settings
            site.store.client.delete("filler")
            until(lambda: len(site.batches()) >= 3)
            assert not cameras.spool.lost


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".flv"])
def test_a_recording_that_a_server_sends_is_stored_whole(site: Site, tmp_path: Path, suffix: str) -> None:
    clip = write_clip(tmp_path / f"a{suffix}", scene(60), fps=10, gop=10, options={"bf": "0"})
    with http_camera(whole_body(clip.read_bytes())) as port:
        site.camera(f"http://127.0.0.1:{port}/a")
        with site.running():
            until(lambda: len(site.batches()) >= 6)
    assert [frames(file) for file in site.files()[:6]] == [10] * 6


def test_a_camera_that_is_taken_out_of_the_file_is_no_longer_read_and_another_begins(site: Site) -> None:
    with http_camera(motion_jpeg(60)) as one, http_camera(motion_jpeg(60, seed=1)) as other:
        site.camera(f"http://127.0.0.1:{one}/video")
        with site.running() as cameras:
            until(site.batches)
            site.camera(f"http://127.0.0.1:{other}/video", stream="yard")
            until(lambda: site.batches("yard"))
            stored = site.files()
            assert list(cameras._readers) == ["yard"]
            time.sleep(2)
            assert site.files() == stored


def test_a_camera_that_changes_its_pictures_all_the_time_is_asked_now_and_then_and_fills_no_log(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "producers.cameras.reader")
    with playing(HostileCamera("http", changing_pictures(), 0.02)) as camera:
        site.camera(camera.url)
        with site.running():
            until(lambda: len(camera.asked) >= 6)
            assert site.files()
    assert min(camera.gaps) >= 0.5, "half of the shortest pause"
    assert 1 <= len(caplog.records) <= 6


def test_no_log_holds_a_password_whatever_goes_wrong(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    (site.config.parent / "secret").write_text("hunter2\n")
    who = 'user = "bob"\npassword_file = "secret"'
    garbage = whole_body(b"no video" * 1000)
    with http_camera(garbage) as bad, http_camera(motion_jpeg(1), user="bob", password="other") as locked:
        for url in (
            f"http://127.0.0.1:{bad}/x?pwd=hunter2",
            f"http://127.0.0.1:{locked}/x",
            f"rtsp://127.0.0.1:{bad}/x",
        ):
            site.camera(url, who)
            with site.running():
                until(lambda: site.state().why)
                said = site.state().to_json()
            assert "hunter2" not in said
            site.store.client.flushall()
    assert "401" in caplog.text
    assert "hunter2" not in caplog.text


@needs_rtsp_server()
def test_a_server_that_is_killed_and_comes_back_with_another_resolution_is_followed(site: Site, tmp_path: Path) -> None:
    small, large = camera_clip(tmp_path / "a.mp4"), camera_clip(tmp_path / "b.mp4", width=192, height=128)
    with site.running() as cameras:
        with rtsp_server({"cam": small}) as port:
            site.camera(f"rtsp://127.0.0.1:{port}/cam")
            until(lambda: len(site.batches()) >= 2)
        until(lambda: site.state().why)
        with rtsp_server({"cam": large}, port):
            until(lambda: site.state().width == 192)
            many = len(site.files())
            site.judge()
            until(lambda: len(site.files()) >= many + 2)
        state = cameras._readers["dock"].state
    sizes = [size(file) for file in site.files()]
    assert sizes == sorted(sizes) and set(sizes) == {(96, 64), (192, 128)}, "no segment has both"
    assert state.connections == 2 and state.dropped <= 20, "the first group of each is left out"
    times = [row.source.taken_at or 0.0 for row in site.batches()]
    assert len(set(times)) == len(times)


@needs_network()
@needs_rtsp_server()
def test_a_network_that_is_cut_and_healed_costs_what_was_played_meanwhile_and_nothing_counts_twice(
    site: Site, tmp_path: Path
) -> None:
    clip = camera_clip(tmp_path / "a.mp4")
    with Network() as network, rtsp_server({"cam": clip}, network=network) as port, site.running() as cameras:
        site.camera(f"rtsp://{network.inside}:{port}/cam")
        until(lambda: len(site.batches()) >= 2)
        network.cut()
        cut_at = time.time()
        until(lambda: cameras._readers["dock"].state.why)
        site.judge()
        before = site.files()
        network.heal()
        healed_at = time.time()
        until(lambda: len(site.files()) >= len(before) + 2)
        state = cameras._readers["dock"].state
        site.write("")
        until(lambda: not cameras._readers)
    assert state.connections == 2 and state.why == ""
    sent = pictures(clip)
    for files, since, upto in ((before, 0.0, cut_at + 1), (site.files()[len(before) :], healed_at, time.time())):
        stored = [picture for file in files for picture in pictures(file)]
        begins_at = {at for at in range(0, len(sent), 10) if (sent[at] == stored[0]).all()}
        assert any(
            all((one == other).all() for one, other in zip(stored, sent[at:], strict=False)) for at in begins_at
        ), "one frame after the other"
        began = [segment.began for file in files if (segment := segment_at("dock", file))]
        ended = [at + (len(pictures(file)) - 1) / FPS for at, file in zip(began, files, strict=True)]
        assert since <= began[0] and ended[-1] <= upto
        assert all(end < begin for end, begin in zip(ended, began[1:], strict=False)), "they do not overlap"
    batches = site.batches()
    assert len(batches) == len({row.source.uri for row in batches}) >= len(before) + 1


@needs_rtsp_server()
def test_footage_by_rtsp_is_the_cameras_frame_by_frame(site: Site, tmp_path: Path) -> None:
    clip = camera_clip(tmp_path / "a.mp4", 8)
    with rtsp_server({"cam": clip}) as port:
        site.camera(f"rtsp://127.0.0.1:{port}/cam")
        with site.running() as cameras:
            until(lambda: cameras._readers and cameras._readers["dock"].state.why)  # the clip has ended
            site.write("")
            until(lambda: not cameras._readers)
    sent = pictures(clip)
    stored = [picture for file in site.files() for picture in pictures(file)]
    # FFmpeg gives the first frame no time, so what begins with the second key frame is stored.
    assert len(stored) >= len(sent) - 10, "and maybe more, of the connection after it"
    assert all((one == other).all() for one, other in zip(stored, sent[10:], strict=False))
