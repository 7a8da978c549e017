"""Truth of a real model on real footage: is one that is as it was left alone, and one that got worse found?

    python -m benchmarks.truth_footage --data FOLDER [--window 10] [--reference 40] [--every 2]

The model is frame interpolation as it ships, taken for a user's own: of each second triplet of a clip it draws the
hidden frame, and the root mean square error in grey levels is the loss that is handed in. The first rows of a clip are
the reference, the others are clean. Then noise is put into the weights, and the windows until the first FAIL are
counted. A clip lasts seconds, so windows are small, and rows of one clip are far from independent: what a clip shows
later it did not always show at first.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.clips import clips_below
from benchmarks.machine import machine
from benchmarks.results import save
from benchmarks.shares import Share
from common.contracts.batches import SourceKind
from common.contracts.truth import Measure, TruthRow, TruthVerdict
from common.contracts.verdicts import Status
from common.drift.truth import TruthRule, TruthTrack, advance
from common.errors import BadSource
from common.features import FloatArray
from common.modalities.video.decode import sampled_frames
from common.models.vfi.kind import KIND
from common.settings import Settings
from common.sources.limits import Limits
from common.truth import rule_of
from simulation.model_faults import perturbed

_SHARES = (0.4, 1.0)  # of a layer's spread
_SETTINGS = Settings(_env_file=None)
_PSNR = [column.name for column in KIND.score_columns].index("psnr_db")
_WHITE = 255.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with clips of clean footage")
    parser.add_argument("--window", type=int, default=10)
    parser.add_argument("--reference", type=int, default=40)
    parser.add_argument("--every", type=int, default=2, help="frames from one triplet to the next")
    arguments = parser.parse_args()
    rule = replace(rule_of(_SETTINGS), window=arguments.window, reference=arguments.reference)
    print(f"{machine()}\n\nwindows of {rule.window} rows, references of {rule.reference}\n")
    heads = [f"noise {share:.0%}: error, first FAIL" for share in _SHARES]
    print(f"| clip | error, grey levels | clean windows that FAIL | confirmed | {' | '.join(heads)} |")
    print("|---|---|---|---|" + "---|" * len(heads), flush=True)
    rows, clean = [], Share()
    for clip in clips_below(arguments.data):
        losses = errors(clip, arguments.every)
        if len(losses) < rule.reference + rule.window:
            print(f"| {clip.stem} | {len(losses)} frames in which something moves are too few | | | | |")
            continue
        line, row = measured(clip.stem, losses, rule, clean)
        print(line, flush=True)
        rows.append(row)
    print(f"\nclean windows that FAIL: {clean}")
    save("truth_footage", {"rows": rows, "rule": vars(rule), "clean": [clean.hits, clean.count]})


def errors(clip: Path, every: int) -> FloatArray:
    """Return (n, models) root mean square errors of a clip's hidden frames, grey levels: sound, then perturbed."""
    frames = sampled_frames(clip, SourceKind.RECORDING, sample_fps=None, start=0, stop=None, limits=Limits())
    times = [float(frame.time) for frame in frames][:-2:every]
    models = [KIND.shipped_model(), *(perturbed(KIND.shipped_model(), share) for share in _SHARES)]
    try:
        examples, _ = KIND.read_live(clip, times, Limits())
    except BadSource as error:
        print(f"{clip.name}: {error}")
        return np.empty((0, len(models)), np.float32)
    psnr = np.stack([scores[:, _PSNR] for scores in KIND.score_live(models, examples)], axis=1)
    told = psnr[np.isfinite(psnr).all(axis=1)]
    return np.asarray(_WHITE * 10.0 ** (-told / 20.0), np.float32)


def measured(name: str, losses: FloatArray, rule: TruthRule, clean: Share) -> tuple[str, dict[str, object]]:
    """Judge a clip's truth; return a line of the table, and what is kept. Its clean windows are added to `clean`."""
    _, verdicts = judged(TruthTrack(model="", measure=Measure.LOSS), losses[:, 0], rule)
    own = Share()
    for verdict in verdicts:
        own.add(verdict.status is Status.FAIL)
        clean.add(verdict.status is Status.FAIL)
    begun, _ = judged(TruthTrack(model="", measure=Measure.LOSS), losses[: rule.reference, 0], rule)
    first: list[int | None] = []
    for column in range(1, losses.shape[1]):
        _, worse = judged(begun, losses[rule.reference :, column], rule)
        first.append(next((n for n, verdict in enumerate(worse, 1) if verdict.status is Status.FAIL), None))
    means = losses.mean(axis=0).tolist()
    found = " | ".join(f"{mean:.1f}, {n or 'never'}" for mean, n in zip(means[1:], first, strict=True))
    sure = sum(verdict.confirmed for verdict in verdicts)
    kept = {"clip": name, "errors": means, "clean": [own.hits, own.count], "confirmed": sure, "first FAIL": first}
    return f"| {name} | {means[0]:.1f} | {own.hits}/{own.count} | {sure} | {found} |", kept


def judged(track: TruthTrack, losses: FloatArray, rule: TruthRule) -> tuple[TruthTrack, Sequence[TruthVerdict]]:
    rows = [
        TruthRow(id=f"{number:032x}", taken_at=10.0 * number, score=-float(loss), frame="", at=0.0)
        for number, loss in enumerate(losses)
    ]
    moved = advance(track, rows, rule, stream="clip", healed_as="", failed_at=lambda at: False)
    return moved.track, moved.verdicts


if __name__ == "__main__":
    main()
