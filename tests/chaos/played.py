"""RTSP: GStreamer's server plays a clip as a camera does, again from its beginning to whoever connects again.

What the server plays while the reader is killed nobody stores, nor the segment that is written at that moment. So the
frames that must come are those of the segments that were stored whole: each of them is one batch.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from common.contracts.batches import BatchReport, SourceKind
from common.drift.windows import WindowRule
from common.modalities.video.decode import sampled_frames
from common.settings import Settings
from common.sources.limits import Limits
from common.store import Store
from producers.cameras.segments import UNFINISHED, Segment, folder_name, segment_at
from producers.rtsp import batch_id_of
from tests.chaos.decisions import Row
from tests.chaos.world import FPS, Expected, Pool, windows_of_singles
from tests.footage import write_clip
from tests.producers.live import ONE_SLICE, rtsp_server

_STREAM = "yard/live"
_GOP = 10  # frames from one key frame to the next: a segment ends with every second one
_ROUNDED_SECONDS = 1e-5  # of the times in the names of segments


class Played:
    """A camera that plays."""

    role = "rtsp"
    streams = (_STREAM,)

    def __init__(self, pool: Pool, folder: Path, rule: WindowRule, rng: random.Random) -> None:
        del rng
        self._rule = rule
        clip = folder / "played.mp4"
        frames = sampled_frames(pool.golden, SourceKind.RECORDING, sample_fps=None, start=0, stop=None, limits=Limits())
        write_clip(clip, [frame.image for frame in frames], fps=FPS, gop=_GOP, options=ONE_SLICE)
        self._server = ExitStack()
        self._port = self._server.enter_context(rtsp_server({"yard": clip}))
        self.environment = {"SENTINEL_SEGMENT_SECONDS": "2", "SENTINEL_CAMERA_SECONDS": "3"}
        settings = Settings(_env_file=None, state_dir=folder / "state")  # type: ignore[call-arg]
        self._folder = settings.live_dir / folder_name(_STREAM)
        self.expected = Expected()
        self._segments: list[Segment] = []
        self._lasted: list[float] = []  # seconds from the first frame of a segment to its last

    def table(self, stream: str) -> str:
        return f'url = "rtsp://127.0.0.1:{self._port}/yard"'

    def begin(self, store: Store) -> None:
        """The reader connects when it likes."""

    def feed(self) -> None:
        """The server plays by itself."""

    def settle(self) -> bool:
        """Stop the camera; the reader stores what it has of the last segment and hands it in."""
        self._server.close()
        files = sorted(self._folder.glob("*")) if self._folder.is_dir() else []
        if any(file.name.startswith(UNFINISHED) for file in files):
            return False
        found = [segment_at(_STREAM, file) for file in files]
        segments = [segment for segment in found if segment is not None]
        if segments == self._segments:
            return True
        self.expected = Expected()
        self._segments, self._lasted = segments, []
        for segment in segments:
            times = [
                frame.time
                for frame in sampled_frames(
                    segment.path, SourceKind.RECORDING, sample_fps=None, start=0, stop=None, limits=Limits()
                )
            ]
            self.expected.add(_STREAM, len(times), 0)
            self._lasted.append(times[-1] if times else 0.0)
        self.expected.windows[_STREAM] = windows_of_singles(self.expected.frames.get(_STREAM, 0), self._rule)
        return True

    def rows(self, reports: Sequence[BatchReport]) -> list[Row]:
        ends = [segment.began + lasted for segment, lasted in zip(self._segments, self._lasted, strict=True)]
        overlaps = [
            f"{before.path.name} {after.path.name}"
            for (before, end), after in zip(zip(self._segments, ends, strict=True), self._segments[1:], strict=False)
            if after.began < end - _ROUNDED_SECONDS
        ]
        return [
            ("segments stored = batches", sorted(map(batch_id_of, self._segments)),
             sorted(report.batch_id for report in reports)),
            ("segments that overlap in capture time", [], overlaps),
            ("segments stored at all", True, bool(self._segments)),
        ]  # fmt: skip

    def close(self) -> None:
        self._server.close()
