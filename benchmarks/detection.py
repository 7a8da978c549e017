"""Is the judge right? False alarms, power, delay and causes on every clip of a folder.

    python -m benchmarks.detection --data FOLDER [--peers .venv-peers/bin/python] [--out .sentinel/evaluate]

Each clip's first half is golden footage, its second half production: clean, with
every saboteur fault in five severities, and the other clips as new content. A
fault is judged on the first full window of the second half. Its delay is
counted from the first faulty frame, the window sliding over from clean frames.

Settings (SENTINEL_*) hold as everywhere. Features are cached below --out, so a
second run only judges. The table is printed, and stored with a picture.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.footage import SEVERITY_LEVELS, Footage, clips_below, load_all
from benchmarks.machine import machine
from common.contracts.batches import FeatureSpec
from common.contracts.verdicts import Cause, Judgement, Status
from common.drift.baseline import Baseline
from common.drift.confirmation import DAY_SECONDS, evidence_needed, update_run
from common.drift.fitting import fit_baseline
from common.drift.judge import judge
from common.errors import SentinelError
from common.features import FeatureBlock
from common.modalities.video.sensors import MINIMUM_EFFECTS, SENSOR_NAMES
from common.settings import Settings
from simulation.faults import Fault

_SIMULATED_DAYS = 3.0
_STRETCH = 4.0  # windows
# The cause that a fault should be named by.
_CAUSE_OF = {fault: Cause.BLUR if fault is Fault.MOTION_BLUR else Cause(fault.value) for fault in Fault}
_MAIN = (Fault.NOISE, Fault.BLUR, Fault.LOW_LIGHT, Fault.COMPRESSION)
_OTHER = tuple(fault for fault in Fault if fault not in _MAIN)


@dataclass
class Share:
    """So many of so many."""

    hits: int = 0
    count: int = 0

    def add(self, hit: bool) -> None:
        self.hits += hit
        self.count += 1

    def __str__(self) -> str:
        return f"{self.hits}/{self.count}" + (f" ({self.hits / self.count:.1%})" if self.count else "")


@dataclass
class Result:
    """Everything that the evaluation counts."""

    clean_fail: dict[str, Share] = field(default_factory=dict)
    clean_significant: Share = field(default_factory=Share)
    clean_scores: list[float] = field(default_factory=list)
    whole: dict[str, str] = field(default_factory=dict)
    held_out: Share = field(default_factory=Share)
    held_out_by_clip: dict[str, Share] = field(default_factory=dict)
    power: dict[str, dict[int, Share]] = field(default_factory=dict)
    cause: dict[str, dict[int, Share]] = field(default_factory=dict)
    named: dict[str, dict[str, int]] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    delay: dict[str, dict[int, list[float]]] = field(default_factory=dict)
    alarms_per_day: dict[str, float] = field(default_factory=dict)
    alarms_per_day_held_out: dict[str, float] = field(default_factory=dict)
    content: Share = field(default_factory=Share)
    left_out: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with video clips")
    parser.add_argument("--out", type=Path, default=Path(".sentinel/evaluate"), help="for the cache, table and picture")
    parser.add_argument("--peers", type=Path, help="a Python with requirements-peers.lock installed (make peers)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args()
    settings = Settings()
    clips = clips_below(chosen.data)
    if not clips:
        sys.exit(f"{chosen.data} holds no video files")
    footage = load_all(clips, settings, chosen.out / "features", chosen.processes, _say)
    result = evaluate(footage, settings)
    peers = compare_with_peers(footage, chosen.peers, chosen.out) if chosen.peers else None
    print(machine())
    print(report(result, settings))
    (chosen.out / "detection.json").write_text(json.dumps(asdict(result), indent=1))
    if peers is not None:
        print(peers)
    from benchmarks.pictures import power_picture

    print("picture:", power_picture(result.power, chosen.out / "detection.png"))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def baseline_of(name: str, golden: Sequence[tuple[str, FeatureBlock]], footage: Footage) -> Baseline:
    """Fit a baseline; its feature spec does not matter to the judge."""
    feature_spec = FeatureSpec(
        backbone="-", weights="-", precision="-", decode_pipeline="-", sensors="-", sample_fps=None
    )
    return fit_baseline(
        golden,
        name=name,
        feature_spec=feature_spec,
        rule=footage.rule,
        sensor_names=SENSOR_NAMES,
        minimum_effects=MINIMUM_EFFECTS,
        created_at=0.0,
        libraries={},
    )


def evaluate(footage: Sequence[Footage], settings: Settings) -> Result:
    """Judge everything."""
    result = Result()

    def verdict(baseline: Baseline, window: FeatureBlock) -> Judgement:
        return judge(baseline, window, threshold=settings.drift_threshold, p_value=settings.p_value)

    for clip in footage:
        try:
            baseline = baseline_of(clip.name, [(clip.name, clip.golden)], clip)
        except SentinelError as error:
            result.left_out.append(f"{clip.name}: {error}")
            continue
        result.clean_fail[clip.name] = Share()
        seen: list[Judgement] = []
        for window in windows(clip.clean, clip):
            said = verdict(baseline, window)
            seen.append(said)
            result.clean_fail[clip.name].add(said.status is Status.FAIL)
            result.clean_significant.add(said.p_value < settings.p_value)
            result.clean_scores.append(said.drift_score)
        result.alarms_per_day[clip.name] = alarms_per_day([seen], clip, baseline, settings)
        result.whole[clip.name] = "FAIL" if result.clean_fail[clip.name].hits else "PASS"
        for (fault, severity), block in clip.faulty.items():
            said = verdict(baseline, block)
            failed = said.status is Status.FAIL
            result.power.setdefault(fault, {}).setdefault(severity, Share()).add(failed)
            if failed:
                right = said.cause is _CAUSE_OF[fault]
                result.cause.setdefault(fault, {}).setdefault(severity, Share()).add(right)
                names = result.named.setdefault(f"{fault}-{severity}", {})
                names[str(said.cause)] = names.get(str(said.cause), 0) + 1
            else:
                lead = max(said.feature_groups, key=lambda group: group.drift_score)
                result.missed.append(
                    f"{clip.name} {fault} {severity}: {lead.group} score {lead.drift_score:.2f} p {lead.p_value:.3g}"
                )
            result.delay.setdefault(fault, {}).setdefault(severity, []).append(delay(clip, baseline, block, settings))
        for other in footage:
            if other is not clip and len(other.clean) >= clip.rule.frames:
                result.content.add(verdict(baseline, other.clean[: clip.rule.frames]).status is Status.FAIL)
        share = result.held_out_by_clip[clip.name] = Share()
        held_out: list[list[Judgement]] = []
        for golden, production in other_splits(clip):
            try:
                held = baseline_of(clip.name, golden, clip)
            except SentinelError:
                continue
            held_out.append([verdict(held, window) for window in windows(production, clip)])
            for said in held_out[-1]:
                share.add(said.status is Status.FAIL)
                result.held_out.add(said.status is Status.FAIL)
        result.alarms_per_day_held_out[clip.name] = alarms_per_day(held_out, clip, baseline, settings)
    return result


def windows(block: FeatureBlock, clip: Footage) -> Iterator[FeatureBlock]:
    """Yield the windows that are judged as `block` goes by."""
    for start in range(0, len(block) - clip.rule.frames + 1, clip.rule.stride):
        yield block[start : start + clip.rule.frames]


def alarms_per_day(
    footage: Sequence[Sequence[Judgement]], clip: Footage, baseline: Baseline, settings: Settings
) -> float:
    """Return confirmed alarms a camera-day when clean stretches of verdicts are drawn again and again.

    Stretches of random length, `_STRETCH` windows' worth of frames in the mean, keep what neighbouring verdicts have
    in common (the stationary bootstrap of Politis and Romano, 1994).
    """
    rng = np.random.default_rng(0)
    size, stride = clip.rule.frames, clip.rule.stride
    needed = evidence_needed(settings.false_alarms_per_day, settings.p_value, size, baseline.frames_per_second)
    stretches = [stretch for stretch in footage if stretch]
    if not stretches:
        return float("nan")
    if not any(said.status is Status.FAIL for stretch in stretches for said in stretch):
        return 0.0
    days = _SIMULATED_DAYS
    left = int(days * DAY_SECONDS * baseline.frames_per_second / stride)
    alarms, run, confirmed, stop = 0, None, False, size
    go_on = 1.0 - stride / (_STRETCH * size)
    while left > 0:
        stretch = stretches[int(rng.integers(len(stretches)))]
        at = int(rng.integers(len(stretch)))
        for said in stretch[at : at + int(rng.geometric(1.0 - go_on))]:
            stop += stride
            left -= 1
            run = update_run(run, failed=said.status is Status.FAIL, p_value=said.p_value, start=stop - size, stop=stop)
            now = run is not None and run.evidence >= needed
            alarms += now and not confirmed
            confirmed = now
    return alarms / days


def other_splits(clip: Footage) -> Iterator[tuple[list[tuple[str, FeatureBlock]], FeatureBlock]]:
    """Yield golden clips and production footage of splits that nothing was tuned on: halves swapped, and each
    third held out."""
    yield [("second", clip.clean)], clip.golden
    whole = FeatureBlock.concatenate([clip.golden, clip.clean])
    third = len(whole) // 3
    yield [("late", whole[third:])], whole[:third]
    yield [("early", whole[: 2 * third])], whole[2 * third :]


def delay(clip: Footage, baseline: Baseline, faulty: FeatureBlock, settings: Settings) -> float:
    """Return how many faulty frames enter before the first FAIL, or infinity; a verdict falls due each stride."""
    size, step = clip.rule.frames, max(1, clip.rule.stride)
    before = clip.golden[-size:]
    for entered in [*range(step, size, step), size]:
        window = FeatureBlock.concatenate([before[entered:], faulty[:entered]])
        said = judge(baseline, window[:size], threshold=settings.drift_threshold, p_value=settings.p_value)
        if said.status is Status.FAIL:
            return float(entered)
    return float("inf")


def report(result: Result, settings: Settings) -> str:
    """Return the table as Markdown."""
    clean = Share(sum(s.hits for s in result.clean_fail.values()), sum(s.count for s in result.clean_fail.values()))
    lines = [
        f"{len(result.clean_fail)} clips, FAIL at score > {settings.drift_threshold} and p < {settings.p_value}",
        "",
        "| clean footage | |",
        "|---|---|",
        f"| windows of second halves that FAIL | {clean} |",
        f"| whole second halves that pass | {sum(v == 'PASS' for v in result.whole.values())}/{len(result.whole)} |",
        f"| p below {settings.p_value} | {result.clean_significant} |",
        f"| other splits (halves swapped, each third held out) | {result.held_out} |",
        f"| false alarms a camera-day, second halves resampled | {_spread(result.alarms_per_day)} |",
        f"| the same, other splits resampled | {_spread(result.alarms_per_day_held_out)} |",
        f"| another clip's content FAILs | {result.content} |",
        "",
        "| fault | "
        + " | ".join(f"severity {s}" for s in SEVERITY_LEVELS)
        + " | cause right, 3 up | delay at 3, frames |",
        "|---|" + "---|" * (len(SEVERITY_LEVELS) + 2),
    ]
    for fault in (*_MAIN, *_OTHER):
        rows = result.power.get(fault, {})
        named = _sum(result.cause.get(fault, {}), 3)
        waits = result.delay.get(fault, {}).get(3, [])
        lines.append(
            f"| {fault} | "
            + " | ".join(f"{rows[s].hits}/{rows[s].count}" for s in SEVERITY_LEVELS if s in rows)
            + f" | {named} | {statistics.median(waits) if waits else float('nan'):.0f} |"
        )
    lines += ["", "| bar | reached |", "|---|---|"]
    lines.append(f"| noise, blur, low light, JPEG at 3 and up | {_power(result, _MAIN, (3, 4, 5))} |")
    lines.append(f"| the same at 1 and 2 | {_power(result, _MAIN, (1, 2))} |")
    lines.append(f"| the other faults at 3 and up | {_power(result, _OTHER, (3, 4, 5))} |")
    lines.append(f"| the other faults at 1 and 2 | {_power(result, _OTHER, (1, 2))} |")
    causes = Share()
    for shares in result.cause.values():
        total = _sum(shares, 3)
        causes = Share(causes.hits + total.hits, causes.count + total.count)
    lines.append(f"| cause right at 3 and up, of those that FAIL | {causes} |")
    if result.left_out:
        lines += ["", "left out: " + "; ".join(result.left_out)]
    return "\n".join(lines)


def _spread(rates: dict[str, float]) -> str:
    known = sorted(rate for rate in rates.values() if np.isfinite(rate))
    if not known:
        return "-"
    return f"median {statistics.median(known):.1f}, worst clip {known[-1]:.1f}"


def _sum(shares: dict[int, Share], least: int) -> Share:
    chosen = [share for severity, share in shares.items() if severity >= least]
    return Share(sum(s.hits for s in chosen), sum(s.count for s in chosen))


def _power(result: Result, faults: Sequence[Fault], severities: Sequence[int]) -> Share:
    chosen = [result.power[f][s] for f in faults if f in result.power for s in severities if s in result.power[f]]
    return Share(sum(s.hits for s in chosen), sum(s.count for s in chosen))


def compare_with_peers(footage: Sequence[Footage], python: Path, out: Path) -> str:
    """Run the peers in their own environment on the same features; see benchmarks/peers.py."""
    folder = out / "peers"
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    for clip in footage:
        arrays: dict[str, npt.NDArray[np.generic]] = {"golden": clip.golden.embedding, "clean": clip.clean.embedding}
        arrays["rule"] = np.array([clip.rule.frames, clip.rule.stride])
        arrays |= {f"{fault}-{severity}": block.embedding for (fault, severity), block in clip.faulty.items()}
        np.savez(folder / f"{clip.name}.npz", allow_pickle=False, **arrays)
    script = Path(__file__).with_name("peers.py")
    done = subprocess.run([python, script, folder], check=True, stdout=subprocess.PIPE, text=True)
    _say(f"peers took {time.monotonic() - started:.0f} s")
    return done.stdout


if __name__ == "__main__":
    main()
