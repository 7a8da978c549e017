"""The story, measured: what heals, what is refused, a model that decayed, a bad promotion rolled back.

    python -m benchmarks.heal [--data FOLDER] [--seeds 0,1,2] [--tries 3] [--parts healed,refused,decayed,rolled-back]

Real parts do it all: Redis, features, reducer, incidents, policy, the healer with the model that ships, gate, decay,
canary; queues and processes are left out. Without --data the footage is of the virtual camera. The first half of a clip
is golden, faults are shown on its third quarter, and what healing gains is measured on its last quarter, of which
nothing was trained on. Clips are scaled to --width. Short quarters are shown forwards and backwards, which makes it
easier to pass the gate, and changes nothing of what the last quarter measures.

Bars: noise of standard deviation 15 gains 0.4 dB over the first champion, low light 0.15; what is healed is 0.1 dB over
DIS; after three conditions golden footage and the earlier conditions have lost at most 0.2 dB; no rubbish is promoted;
weights with noise as large as themselves are named decay within 2 windows and healed; a bad promotion is back within
100 live triplets. The exit code is 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.blinding_camera import camera_of, own_redis
from benchmarks.blinding_footage import Footage
from benchmarks.clips import clips_below
from benchmarks.heal_decay import decayed, rolled_back
from benchmarks.heal_drift import Drift
from benchmarks.heal_measures import HEADER, Row
from benchmarks.machine import machine
from benchmarks.pretrain import limit_threads
from benchmarks.results import save
from common.errors import SentinelError
from common.extraction import load_extractor
from common.modalities.video.modality import VIDEO
from common.settings import Settings
from simulation.virtual_camera import SCENES, record

_SECONDS, _FPS, _WIDTH, _HEIGHT = 50, 30.0, 384, 216  # of the virtual camera
_SHOWN = 300  # frames of a quarter
_PARTS = ("healed", "refused", "decayed", "rolled-back")
_CANARY_TRIPLETS = "12"  # of a window, instead of 3: no live triplet of a short clip then counts twice


def main() -> None:
    arguments = _arguments()
    logging.getLogger().setLevel(logging.CRITICAL)  # refusals and rollbacks are logged, and are what is wanted
    limit_threads(arguments.threads)
    print(machine(), flush=True)
    settings = Settings()
    extractor = load_extractor(settings, VIDEO, None)
    rows: list[Row] = []
    with TemporaryDirectory() as folder, own_redis(Path(folder)):
        for clip in _clips(arguments.data, Path(folder)):
            try:
                footage = Footage(clip, extractor, settings, arguments.out, arguments.width, _SHOWN)
                for seed in arguments.seeds:
                    for row in _told(clip.stem, seed, footage, arguments):
                        print(row, flush=True)
                        rows.append(row)
            except SentinelError as error:
                print(f"{clip.name}: left out, {error}", flush=True)
    print(f"\n{HEADER}")
    for row in rows:
        print(row)
    _summary(rows)
    save("heal", {"seeds": arguments.seeds, "tries": arguments.tries, "rows": [vars(row) for row in rows]})
    sys.exit(1 if not rows or any(row.missed for row in rows) else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with video clips of fixed cameras")
    parser.add_argument("--out", type=Path, default=Path(".sentinel/evaluate"), help="for the cache")
    parser.add_argument("--seeds", default="0,1,2", help="separated by commas", type=_numbers)
    parser.add_argument("--tries", type=int, default=3, help="of each rubbish, for each clip and seed")
    parser.add_argument("--steps", type=int, default=Settings().retrain_steps, help="most steps of one fine-tuning")
    parser.add_argument("--parts", default=",".join(_PARTS), help="of the story, separated by commas", type=_parts)
    parser.add_argument("--width", type=int, default=384, help="most pixels across; larger clips are scaled down")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _parts(text: str) -> list[str]:
    parts = text.split(",")
    if unknown := set(parts) - set(_PARTS):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: choose from {', '.join(_PARTS)}")
    return parts


def _clips(data: Path | None, folder: Path) -> list[Path]:
    """Return the clips of a folder; None: one of the virtual camera, which looks at one thing."""
    if data is not None:
        return clips_below(data)
    path = folder / "virtual.mp4"
    record(path, seconds=_SECONDS, fps=_FPS, scenes=SCENES[:1], width=_WIDTH, height=_HEIGHT)
    return [path]


def _told(name: str, seed: int, footage: Footage, arguments: argparse.Namespace) -> Iterator[Row]:
    """Yield each case on one clip with one seed, each part of the story on streams of an empty Redis."""
    os.environ["SENTINEL_RETRAIN_SEED"] = str(seed)
    os.environ["SENTINEL_DECAY_TRIPLETS"] = str(Settings(_env_file=None).decay_triplets)
    began = time.monotonic()
    parts = arguments.parts
    with camera_of(footage.baselines_dir, footage.folder) as camera:
        drift = Drift(name, seed, footage, camera, arguments.steps)
        yield from drift.healed() if "healed" in parts else ()
        _say(name, seed, "healed", began)
        yield from drift.refused(arguments.tries) if "refused" in parts else ()
        sound = drift.first_champion
    _say(name, seed, "refused", began)
    if "decayed" in parts:
        with camera_of(footage.baselines_dir, footage.folder) as camera:
            yield decayed(name, seed, footage, camera, sound, arguments.steps)
        _say(name, seed, "decayed", began)
    if "rolled-back" in parts:
        os.environ["SENTINEL_DECAY_TRIPLETS"] = _CANARY_TRIPLETS
        with camera_of(footage.baselines_dir, footage.folder) as camera:
            camera.scored = True
            yield rolled_back(name, seed, footage, camera, sound)
        _say(name, seed, "rolled back", began)


def _say(name: str, seed: int, part: str, began: float) -> None:
    print(f"{name}, seed {seed}: {part} after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def _summary(rows: list[Row]) -> None:
    """Print the median and the bounds of each figure of each case, how much rubbish was promoted, and missed bars."""
    print("\n| case | figure | median | least | most | of |\n|---|---|---|---|---|---|")
    for case in dict.fromkeys(row.case for row in rows):
        mine = [row for row in rows if row.case == case]
        for figure in dict.fromkeys(name for row in mine for name in row.figures):
            values = [row.figures[figure] for row in mine if figure in row.figures]
            middle = statistics.median(values)
            print(f"| {case} | {figure} | {middle:+.2f} | {min(values):+.2f} | {max(values):+.2f} | {len(values)} |")
    rubbish = [row for row in rows if row.case.startswith("refuse ")]
    promoted = sum(row.outcome.startswith("PROMOTED") for row in rubbish)
    slight = sum(row.outcome.startswith("promoted: ") for row in rubbish)
    print(f"\nrubbish: {promoted} of {len(rubbish)} tries promoted; {slight} without replay that lost little, too")
    missed = [f"{row.clip}, seed {row.seed}, {row.case}: {row.missed}" for row in rows if row.missed]
    print(f"bars missed: {len(missed)}", *missed, sep="\n  ")


if __name__ == "__main__":
    main()
