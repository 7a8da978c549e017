"""Live cameras behind a network that is cut, and behind networks that lose packets."""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av

from benchmarks.watched import wait_until
from common.contracts.cameras import CameraState
from common.contracts.events import EventType, IncidentClosed, IncidentOpened
from producers.cameras.segments import UNFINISHED, Segment, folder_name, segment_at
from simulation.virtual_camera import record
from tests.chaos.counting import count_rows
from tests.chaos.world import FPS, windows_of_singles
from tests.footage import write_clip
from tests.network import Network
from tests.networked.site import RULE, Footage, Result, Site
from tests.producers.live import ONE_SLICE, rtsp_server

_PORT = 8554
_GOP = 10
_CUT_SECONDS = 30.0
_LOSSES = (0.0, 0.01, 0.02, 0.05)
_LOSS_SECONDS = 60.0
_PLAYED_SECONDS = 150  # longer than the run: a camera that ends is another test's
_WIDTH, _HEIGHT = 640, 360
_SETTINGS = {
    "SENTINEL_SEGMENT_SECONDS": "2",
    "SENTINEL_CAMERA_SECONDS": "5",
    "SENTINEL_OFFLINE_SECONDS": "15",
    "SENTINEL_SWEEP_SECONDS": "2",
}
_ROUNDED_SECONDS = 1e-5  # of the times in the names of segments


@dataclass
class Stored:
    """What was stored of one camera.

    Attributes
    ----------
    segments : oldest first
    frames : decoded from them
    errors : segments that could not be decoded to the end, and frames that FFmpeg says are damaged
    runs : stretches of consecutive frames of the clip: first, and how many
    strange : frames that are none of the clip's
    overlaps : segments that begin before the one before has ended
    gap : seconds between the last frame of a segment and the first of the next, the longest
    """

    segments: list[Segment]
    frames: int
    errors: int
    runs: list[tuple[int, int]]
    strange: int
    overlaps: int
    gap: float


def run(folder: Path, footage: Footage) -> Result:
    """Cut one camera's network for longer than it may be silent, and lose packets of others at the same time."""
    result = Result()
    clip = _film(folder)
    sent, errors = _decoded([clip])
    assert not errors
    names = {"cut": 0.0, **{f"loss-{round(100 * share)}": share for share in _LOSSES}}
    with ExitStack() as ended:
        site = ended.enter_context(Site(folder / "cameras", footage, "127.0.0.1", **_SETTINGS))
        networks = {name: ended.enter_context(Network()) for name in names}
        servers = ended.enter_context(ExitStack())
        for network in networks.values():
            servers.enter_context(rtsp_server({"cam": clip}, _PORT, network=network))
        config = site.folder / "none.toml"
        config.write_text("".join(
            f'[streams.{name}]\nurl = "rtsp://{network.inside}:{_PORT}/cam"\ndrift_threshold = 1.0\n'
            for name, network in networks.items()
        ))  # fmt: skip
        for name, share in names.items():
            networks[name].lose(share)
        site.start("reduce", "embed", "beat", "watch", "camera-events", "rtsp")
        wait_until("all cameras", lambda: all(_state(site, name).segments >= 4 for name in names))
        began = time.monotonic()
        cut = _cut(site, networks["cut"])
        time.sleep(max(0.0, _LOSS_SECONDS - (time.monotonic() - began)))
        states = {name: _state(site, name) for name in names}
        _expect_incidents(result, site)
        servers.close()
        stored = {name: _settled(site, name, sent) for name in names}
        _compare(result, site, stored)
    _report_cut(result, cut, states["cut"], stored["cut"])
    _report_losses(result, {name: states[name] for name in list(names)[1:]}, stored, clip)
    return result


def _film(folder: Path) -> Path:
    raw, clip = folder / "raw.mp4", folder / "played.mp4"
    record(raw, seconds=_PLAYED_SECONDS, fps=FPS, seed=9, width=_WIDTH, height=_HEIGHT)
    with av.open(str(raw)) as container:
        images = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return write_clip(clip, images, fps=FPS, gop=_GOP, options=ONE_SLICE)


def _state(site: Site, name: str) -> CameraState:
    return site.store.cameras.of([name]).get(name) or CameraState(stream=name, url="")


@dataclass
class _Cut:
    """Seconds from the cut until an incident said it, and from the healing until frames were stored and it ended."""

    opened: float
    stored: float
    closed: float


def _cut(site: Site, network: Network) -> _Cut:
    network.cut()
    cut_at = time.monotonic()
    wait_until("the incident", lambda: _incidents(site, IncidentOpened))
    opened = time.monotonic() - cut_at
    time.sleep(max(0.0, _CUT_SECONDS - opened))
    before = len(_segments(site, "cut"))
    network.heal()
    healed_at = time.monotonic()
    wait_until("footage after it", lambda: len(_segments(site, "cut")) > before)
    stored = time.monotonic() - healed_at
    wait_until("the end of the incident", lambda: _incidents(site, IncidentClosed))
    return _Cut(opened, stored, time.monotonic() - healed_at)


def _incidents(site: Site, kind: type[IncidentOpened] | type[IncidentClosed]) -> list[str]:
    return [event.incident.cause.value for event in site.events() if isinstance(event, kind) and event.stream == "cut"]


def _segments(site: Site, name: str) -> list[Segment]:
    folder = site.folder / "state" / "spool" / "live" / folder_name(name)
    found = [segment_at(name, file) for file in sorted(folder.glob("20*.mp4"))]
    return [segment for segment in found if segment is not None]


def _settled(site: Site, name: str, sent: list[int]) -> Stored:
    """Wait until what a camera that has ended sent is stored and complete; return what it is."""
    folder = site.folder / "state" / "spool" / "live" / folder_name(name)
    wait_until("the last segment", lambda: not list(folder.glob(f"{UNFINISHED}*")))
    segments = _segments(site, name)
    site.expected.batches[name] = len(segments)
    wait_until(f"the batches of {name}", lambda: site.is_complete(name))
    frames, errors = _decoded([segment.path for segment in segments])
    site.expected.frames[name] = len(frames)
    site.expected.windows[name] = windows_of_singles(len(frames), RULE)
    runs, strange = _runs(frames, sent)
    gaps = []
    for before, after in pairwise(segments):
        gaps.append(after.began - before.began - (len(_decoded([before.path])[0]) - 1) / FPS)
    overlaps = sum(gap < -_ROUNDED_SECONDS for gap in gaps)
    return Stored(segments, len(frames), errors, runs, strange, overlaps, max(gaps))


def _decoded(paths: Sequence[Path]) -> tuple[list[int], int]:
    """Return a checksum of each frame's pixels, and how many errors there were."""
    found, errors = [], 0
    for path in paths:
        try:
            with av.open(str(path)) as container:
                for frame in container.decode(video=0):
                    errors += frame.is_corrupt
                    found.append(zlib.crc32(frame.to_ndarray(format="gray").tobytes()))
        except av.error.FFmpegError:
            errors += 1
    return found, errors


def _runs(frames: Sequence[int], sent: Sequence[int]) -> tuple[list[tuple[int, int]], int]:
    """Return the stretches of `sent` that `frames` are, and how many are none of it."""
    place = {checksum: number for number, checksum in enumerate(sent)}
    runs: list[tuple[int, int]] = []
    strange = 0
    for checksum in frames:
        at = place.get(checksum)
        if at is None:
            strange += 1
        elif runs and sum(runs[-1]) == at:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((at, 1))
    return runs, strange


def _compare(result: Result, site: Site, stored: dict[str, Stored]) -> None:
    result.compare(count_rows(site.store, site.expected, site.events(), tuple(stored)))
    for name, row in stored.items():
        result.expect(f"{name}: segments that overlap", 0, row.overlaps)
        result.expect(f"{name}: frames that the camera did not send", 0, row.strange)
        result.expect(f"{name}: errors of decoding", 0, row.errors)


def _expect_incidents(result: Result, site: Site) -> None:
    """Compare the incidents so far: one, that is over, of the camera whose network was cut."""
    incidents = [_incidents(site, kind) for kind in (IncidentOpened, IncidentClosed)]
    result.expect("incidents of the cut camera", [1, 1], [len(rows) for rows in incidents])
    others = [
        event.stream for event in site.events() if event.type is EventType.INCIDENT_OPENED and event.stream != "cut"
    ]
    result.expect("incidents of others", [], others)


def _report_cut(result: Result, cut: _Cut, state: CameraState, stored: Stored) -> None:
    result.expect("stretches of footage around the cut", 2, len(stored.runs))
    result.expect("connections around the cut", 2, state.connections)
    if stored.gap < _CUT_SECONDS:
        result.problems.append(f"footage has a gap of {stored.gap:.1f} s, and the cut was longer")
    result.table(
        ("cut, s", "offline after, s", "footage again after healing, s", "incident over after, s", "connections",
         "segments", "frames", "gap in capture time, s", "overlaps", "stretches of consecutive frames"),
        [(f"{_CUT_SECONDS:.0f}", f"{cut.opened:.0f}", f"{cut.stored:.0f}", f"{cut.closed:.0f}", state.connections,
          len(stored.segments), stored.frames, f"{stored.gap:.1f}", stored.overlaps, len(stored.runs))],
    )  # fmt: skip


def _report_losses(result: Result, states: dict[str, CameraState], stored: dict[str, Stored], clip: Path) -> None:
    rows = []
    for name, state in states.items():
        row = stored[name]
        result.expect(f"{name}: stretches of consecutive frames", state.connections, len(row.runs))
        rows.append((f"{name.rpartition('-')[2]}%", len(row.segments), row.frames, row.errors,
                     f"{row.gap:.2f}", row.overlaps, state.connections - 1))  # fmt: skip
    rate = clip.stat().st_size * 8 / _PLAYED_SECONDS / 1e6
    result.lines += ["", f"packets lost each way, RTSP over TCP, {rate:.1f} Mbit/s"]
    result.table(("lost", "segments", "frames", "errors of decoding", "longest gap, s", "overlaps", "reconnects"), rows)
