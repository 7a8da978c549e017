"""What the chaos run feeds in, and what it expects to come out."""

from __future__ import annotations

import itertools
import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from common.contracts.batches import SourceKind
from common.drift.windows import WindowRule
from common.modalities.video.decode import sampled_frames
from common.sources.limits import Limits
from simulation.faults import Fault
from simulation.saboteur import sabotage
from simulation.virtual_camera import record

SETTINGS = {
    "SENTINEL_BASELINE": "golden",
    "SENTINEL_WEIGHTS": "random:0",
    "SENTINEL_FLOWER_PORT": "0",
    "SENTINEL_METRICS_PORT": "0",
    "SENTINEL_PAGE_PORT": "0",
    "SENTINEL_SETTLE_SECONDS": "0.5",
    "SENTINEL_COOLDOWN_SECONDS": "3",
    # What healing costs golden has tests of its own; here a short training must lead to a promotion.
    "SENTINEL_RETRAIN_STEPS": "100",
    "SENTINEL_PROMOTE_MAX_LOSS_DB": "5",
    "SENTINEL_PROMOTE_MAX_WORST_LOSS_DB": "10",
    "SENTINEL_SWEEP_SECONDS": "2",
    "SENTINEL_STUCK_SECONDS": "10",
    "SENTINEL_VISIBILITY_SECONDS": "15",
    # A kill counts as a delivery. What is tested is that nothing is lost, not that a murdered chunk is given up.
    "SENTINEL_MAX_DELIVERIES": "50",
    "SENTINEL_RESTART_SECONDS": "1",
    "SENTINEL_CHUNK_FRAMES": "24",
}
FILE_STREAMS = ("dock", "gate/north", "høll")
CAMERA_STREAMS = ("cam1", "cam2")
ACTING_STREAMS = ("night/1", "night/2", "night/3")
"""Streams that drift, are healed, accepted as they are, and taken back."""
STREAMS = (*FILE_STREAMS, *CAMERA_STREAMS, *ACTING_STREAMS)
DRIFT_SECONDS = 30.0
"""Of footage that drifts: long enough for a condition, with 120 triplets held out and some to train on."""
WIDTH, HEIGHT, FPS = 320, 180, 10.0


@dataclass
class Expected:
    """What was fed.

    Attributes
    ----------
    frames : by stream, those that must enter its window
    batches : by stream, accepted ones
    windows : by stream, verdicts that must come
    poison : dead letters that must come
    """

    frames: dict[str, int] = field(default_factory=dict)
    batches: dict[str, int] = field(default_factory=dict)
    windows: dict[str, int] = field(default_factory=dict)
    poison: int = 0
    doubled: int = 0

    def add(self, stream: str, frames: int, windows: int) -> None:
        """Note a batch of so many frames, from which so many verdicts must come."""
        self.frames[stream] = self.frames.get(stream, 0) + frames
        self.windows[stream] = self.windows.get(stream, 0) + windows
        self.batches[stream] = self.batches.get(stream, 0) + 1


def together(parts: Sequence[Expected]) -> Expected:
    """Return the sum of what was fed by several, each into streams of its own."""
    whole = Expected()
    for part in parts:
        whole.frames |= part.frames
        whole.batches |= part.batches
        whole.windows |= part.windows
        whole.poison += part.poison
        whole.doubled += part.doubled
    return whole


class Pool:
    """Footage: a golden clip, production clips of known length, one of them sabotaged, and single images."""

    def __init__(self, folder: Path, drift_seconds: float) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.golden = folder / "golden.mp4"
        record(self.golden, seconds=30, fps=FPS, seed=1, width=WIDTH, height=HEIGHT)
        self.clips: list[tuple[Path, int]] = []
        for seed, seconds in ((2, 5.0), (3, 6.5), (4, 8.0)):
            path = folder / f"clean{seed}.mp4"
            record(path, seconds=seconds, fps=FPS, seed=seed, width=WIDTH, height=HEIGHT)
            self.clips.append((path, frames_in(path)))
        self.clean = tuple(self.clips)
        steady = folder / "steady.mp4"
        record(steady, seconds=drift_seconds, fps=FPS, seed=5, width=WIDTH, height=HEIGHT)
        # The first champion copes with some of it and has to be trained for the rest.
        faults = ((Fault.NOISE, 4), (Fault.LOW_LIGHT, 4), (Fault.NOISE, 5), (Fault.LOW_LIGHT, 3))
        self.drifted = [folder / f"{fault}-{severity}.mp4" for fault, severity in faults]
        for (fault, severity), path in zip(faults, self.drifted, strict=True):
            sabotage(steady, path, fault, severity=severity)
        self.clips.append((self.drifted[0], frames_in(self.drifted[0])))
        self.images: list[Path] = []
        shown = sampled_frames(
            self.clips[0][0], SourceKind.RECORDING, sample_fps=None, start=0, stop=20, limits=Limits()
        )
        for frame in shown:
            self.images.append(folder / f"{frame.index:03d}.jpg")
            assert cv2.imwrite(str(self.images[-1]), cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))


def frames_in(path: Path) -> int:
    frames = sampled_frames(path, SourceKind.RECORDING, sample_fps=None, start=0, stop=None, limits=Limits())
    return sum(1 for _ in frames)


def unlike(clip: Path, number: int) -> bytes:
    """Return the bytes of `clip` with a box at the end that players skip: the same footage, another content."""
    note = f"take {number}".encode()
    return clip.read_bytes() + struct.pack(">I4s", 8 + len(note), b"free") + note


def windows_of_batch(frames: int, rule: WindowRule) -> int:
    """Verdicts of a batch that fills a window by itself: each stride, and once more for what is left at its end."""
    full = (frames - rule.frames) // rule.stride
    return 1 + full + ((frames - rule.frames) % rule.stride > 0)


def windows_of_singles(frames: int, rule: WindowRule) -> int:
    """Verdicts of so many frames that come one by one."""
    return 0 if frames < rule.frames else 1 + (frames - rule.frames) // rule.stride


class Feeder:
    """Feeds the stack, by a seeded plan, and keeps the books."""

    def __init__(self, pool: Pool, watch_dir: Path, rule: WindowRule, rng: random.Random) -> None:
        self.pool, self.watch_dir, self.rule, self.rng = pool, watch_dir, rule, rng
        self.expected = Expected()
        self.files: list[tuple[str, bytes]] = []
        self.events: list[dict[str, str]] = []
        self._numbers = itertools.count(1)

    def file(self) -> None:
        """Drop a new clip into a stream."""
        number, stream = next(self._numbers), self.rng.choice(FILE_STREAMS)
        clip, frames = self.rng.choices(self.pool.clips, weights=[4, 3, 2, 1])[0]
        data = unlike(clip, number)
        self._put(stream, f"{number:05d}.mp4", data)
        self.files.append((stream, data))
        self.expected.add(stream, frames, windows_of_batch(frames, self.rule))

    def drift(self, stream: str) -> None:
        """Drop footage into a stream that fails its golden baseline, of one kind after the other."""
        number = next(self._numbers)
        clip = self.pool.drifted[number % len(self.pool.drifted)]
        self._put(stream, f"{number:05d}.mp4", unlike(clip, number))
        frames = frames_in(clip)
        self.expected.add(stream, frames, windows_of_batch(frames, self.rule))

    def file_again(self) -> None:
        """Drop the content of an earlier file once more under another name: it must not count again."""
        if self.files:
            stream, data = self.rng.choice(self.files)
            self._put(stream, f"again-{next(self._numbers):05d}.mp4", data)
            self.expected.doubled += 1

    def poison_file(self) -> None:
        """Drop something that only says it is a video."""
        number = next(self._numbers)
        self._put(self.rng.choice(FILE_STREAMS), f"poison-{number:05d}.mp4", f"no video, number {number}".encode())
        self.expected.poison += 1

    def event(self) -> dict[str, str]:
        """Return a new camera event; its frame counts once it is sent."""
        number, stream = next(self._numbers), self.rng.choice(CAMERA_STREAMS)
        fields = {
            "specversion": "1.0", "id": f"frame-{number}", "source": f"/cameras/{stream}",
            "type": "io.sentinel.frame.v1", "datacontenttype": "image/jpeg",
            "dataref": f"file://{self.rng.choice(self.pool.images)}",
        }  # fmt: skip
        self.events.append(fields)
        self.expected.add(stream, 1, 0)
        return fields

    def poison_event(self) -> dict[str, str]:
        """Return a camera event that must end as a dead letter."""
        number = next(self._numbers)
        self.expected.poison += 1
        good = {
            "specversion": "1.0", "id": f"poison-{number}", "source": "/cameras/cam1",
            "type": "io.sentinel.frame.v1", "datacontenttype": "image/jpeg",
        }  # fmt: skip
        return self.rng.choice(
            [
                {"id": f"poison-{number}", "hello": "world"},
                {**good, "dataref": f"file:///etc/passwd?{number}"},
                {**good, "dataref": f"file://{self.pool.folder}/../{number}.jpg"},
                good,
            ]
        )

    def settle(self) -> None:
        """Work out the verdicts that single frames must give, once all are sent."""
        for stream in CAMERA_STREAMS:
            self.expected.windows[stream] = windows_of_singles(self.expected.frames.get(stream, 0), self.rule)

    def _put(self, stream: str, name: str, data: bytes) -> None:
        folder = self.watch_dir / stream
        folder.mkdir(parents=True, exist_ok=True)
        staging = folder / f".{name}.part"
        staging.write_bytes(data)
        staging.rename(folder / name)
