"""Sentinel beside other detectors, at matched false alarms.

    python -m benchmarks.peer_comparison --data FOLDER[:FOLDER...] --peers .venv-peers/bin/python [--cameras NAME,NAME]

A camera is known for the first half of its clip, and left out of the table of clean drift. The first window of the
second half is judged with each of the saboteur's faults at severities 1 and 3. For each clip, the threshold of each
detector is the largest score of the clip's own disjoint clean windows, so that none of these is a false alarm: which is
in favour of a detector, because nobody knows it in operation. Sentinel is judged so, and as it ships.

The libraries get what they are made for: embeddings (of every frame, and so does Sentinel here), or frames; CUSUM and
EWMA get the readings of Sentinel's sensors. See benchmarks/peers.py. Features are cached below --cache.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from benchmarks.clip_features import ClipFeatures, changed, open_all
from benchmarks.corpus import disjoint
from benchmarks.machine import machine
from benchmarks.shares import Share, total
from benchmarks.workbench import judged
from common.contracts.verdicts import Judgement, Status
from common.errors import SentinelError
from common.features import FeatureBlock, Image
from common.modalities.video.decode import Frame
from common.modalities.video.groups import EMBEDDING, QUALITY
from common.modalities.video.sensors import MINIMUM_EFFECTS
from common.settings import Settings
from simulation.faults import SEVERITIES, Fault, sabotage_frames

_SEED = 7  # of the saboteur
LEVELS = (1, 3)
_SHIPPED, _MATCHED = "Sentinel, as it ships", "Sentinel, threshold set as those of the others"
_KINDS = {EMBEDDING: "embedding", QUALITY: "sensors"}
_Arrays = dict[str, npt.NDArray[np.float32]]


@dataclass
class Found:
    """What one detector found.

    Attributes
    ----------
    clean : disjoint clean windows that alarm
    faults : by fault and severity
    error : why it did not run, or nothing
    """

    clean: Share = field(default_factory=Share)
    faults: dict[tuple[Fault, int], Share] = field(default_factory=dict)
    error: str = ""


class FramePeers:
    """A process of the peers' environment that reads frames; see benchmarks/peer_frames.py."""

    def __init__(self, python: Path, folder: Path) -> None:
        script = Path(__file__).with_name("peer_frames.py")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [str(python), str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self._folder = folder

    def readings(self, frames: Iterable[Image], count: int, reference: Image, *, golden: bool) -> _Arrays:
        """Return by kind the readings (n, columns) of `count` consecutive frames, beside a golden frame.

        Parameters
        ----------
        golden : whether the frames are golden footage, of which only what drift is computed from is wanted
        """
        at = [self._folder / name for name in ("reference.npy", "frames.npy", "readings.npz")]
        np.save(at[0], reference)
        stored = np.lib.format.open_memmap(at[1], mode="w+", dtype=np.uint8, shape=(count, *reference.shape))
        for place, frame in zip(range(count), frames, strict=True):
            stored[place] = frame
        stored.flush()
        asked, answered = _pipe(self._process.stdin), _pipe(self._process.stdout)
        asked.write("\t".join(["golden" if golden else "judged", *map(str, at)]) + "\n")
        asked.flush()
        if answered.readline() != "\n":
            raise SystemExit("the process of the peers that reads frames has ended: its error is above")
        return dict(np.load(at[2]))

    def close(self) -> None:
        _pipe(self._process.stdin).close()
        self._process.wait()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def arrays_of(clip: ClipFeatures, peers: FramePeers) -> tuple[_Arrays, dict[tuple[Fault, int], FeatureBlock]]:
    """Return what peers are given of a clip, and Sentinel's features of each fault; see benchmarks/peers.py."""
    whole, half = clip.whole, clip.half
    first = clip.after_half()
    reference = next(clip.frames(half - 1, half)).image
    arrays: _Arrays = {}

    def add(part: str, name: str, block: FeatureBlock, images: Iterable[Image]) -> None:
        stored = clip.folder / f"peers-{name}.npz"
        if not stored.exists():
            found = peers.readings(images, len(block), reference, golden=part == "golden")
            unfinished = stored.with_suffix(".part.npz")
            np.savez(unfinished, allow_pickle=False, **found)
            unfinished.rename(stored)
        arrays.update({f"{kind}:{part}": values for kind, values in np.load(stored).items()})
        arrays.update({f"{kind}:{part}": block.groups[group] for group, kind in _KINDS.items()})

    add("golden", "golden", whole[:half], (frame.image for frame in clip.frames(0, half)))
    add("clean", "clean", whole[half:], (frame.image for frame in clip.frames(half, len(whole))))
    blocks = {}
    for severity in LEVELS:
        for fault in Fault:

            def images(fault: Fault = fault, severity: int = severity) -> Iterator[Image]:
                return sabotage_frames((frame.image for frame in first), fault, severity, _SEED)

            name = f"{fault}-{severity}-{SEVERITIES[fault][severity - 1]:g}-first"
            block = blocks[fault, severity] = clip.of(name, partial(_changed, first, images))
            add(f"{fault}-{severity}", name, block, images())
    return arrays, blocks


def _changed(frames: Sequence[Frame], images: Callable[[], Iterator[Image]]) -> Iterator[Frame]:
    return changed(frames, images())


def judge_clip(
    clip: ClipFeatures, faulty: Mapping[tuple[Fault, int], FeatureBlock], settings: Settings, found: dict[str, Found]
) -> None:
    """Add what Sentinel found on one clip; raises `SentinelError` if the clip gives no baseline."""
    baseline = clip.known_for_half()
    clean = [judged(baseline, window, settings) for window in disjoint(clip.whole[clip.half :], clip.rule.frames)]
    threshold = max(map(_score, clean))
    for verdict in clean:
        found[_SHIPPED].clean.add(verdict.status is Status.FAIL)
        found[_MATCHED].clean.add(False)
    for key, block in faulty.items():
        verdict = judged(baseline, block, settings)
        found[_SHIPPED].faults.setdefault(key, Share()).add(verdict.status is Status.FAIL)
        found[_MATCHED].faults.setdefault(key, Share()).add(_score(verdict) > threshold)


def _score(verdict: Judgement) -> float:
    return max(group.drift_score for group in verdict.feature_groups)


def found_by_peers(python: Path, folder: Path, clean: int) -> dict[str, Found]:
    """Run the peers on the clips of a folder; `clean` disjoint clean windows are below their thresholds."""
    script = Path(__file__).with_name("peers.py")
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [str(python), str(script), str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found = {}
    for peer, result in json.loads(done.stdout.splitlines()[-1]).items():
        row = found[peer] = Found(Share(0, clean), error=result["error"])
        for faults in result["found"].values():
            for name, hit in faults.items():
                fault, _, severity = name.rpartition("-")
                row.faults.setdefault((Fault(fault), int(severity)), Share()).add(hit)
    return found


def report(found: Mapping[str, Found]) -> Iterator[str]:
    """Yield the lines of the tables, as Markdown."""
    yield "| detector | clean windows that alarm | " + " | ".join(f"severity {level}" for level in LEVELS) + " |"
    yield "|---|---|" + "---|" * len(LEVELS)
    for name, row in found.items():
        if row.error:
            yield f"| {name} | did not run: {row.error} |" + " |" * len(LEVELS)
            continue
        cells = [str(total(share for (_, at), share in row.faults.items() if at == level)) for level in LEVELS]
        yield f"| {name} | {row.clean.hits}/{row.clean.count} | " + " | ".join(cells) + " |"
    ran = {name: row for name, row in found.items() if not row.error}
    clips = max(share.count for share in ran[_SHIPPED].faults.values())
    yield ""
    yield f"| found at severity {', '.join(map(str, LEVELS))} of {clips} clips | " + " | ".join(ran) + " |"
    yield "|---|" + "---|" * len(ran)
    for fault in Fault:
        cells = [", ".join(str(row.faults[fault, level].hits) for level in LEVELS) for row in ran.values()]
        yield f"| {fault} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folders with clips, separated by colons")
    parser.add_argument("--peers", type=Path, required=True, help="a Python with requirements-peers.lock (make peers)")
    parser.add_argument("--cameras", help="names of the cameras to judge, separated by commas; all if not given")
    parser.add_argument("--cache", type=Path, default=Path(".sentinel/evaluate"))
    chosen = parser.parse_args()
    settings = Settings().model_copy(update={"embed_every": 1})
    found = {_SHIPPED: Found(), _MATCHED: Found()}
    folders = [Path(folder) for folder in chosen.data.split(os.pathsep)]
    names = []
    with tempfile.TemporaryDirectory() as below:
        frames, clips = Path(below) / "frames", Path(below) / "clips"
        frames.mkdir()
        clips.mkdir()
        peers = FramePeers(chosen.peers, frames)
        for clip in open_all(folders, settings, chosen.cache, _say, chosen.cameras):
            try:
                arrays, faulty = arrays_of(clip, peers)
                judge_clip(clip, faulty, settings, found)
            except SentinelError as error:
                _say(f"{clip.name} left out: {error}")
                continue
            rule, effects = np.array(clip.rule.frames), np.array(MINIMUM_EFFECTS, np.float32)
            np.savez(clips / f"{clip.name}.npz", allow_pickle=False, rule=rule, effects=effects, **arrays)
            names.append(clip.name)
            _say(f"{clip.name} judged")
        peers.close()
        if not names:
            sys.exit(f"{chosen.data} holds no clip that could be judged: name folders with video files")
        found.update(found_by_peers(chosen.peers, clips, found[_SHIPPED].clean.count))
    print(machine())
    print(f"{len(names)} clips: {', '.join(names)}")
    print("\n".join(report(found)))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
