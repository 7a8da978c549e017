"""Footage of the evaluation: the first half of each clip is golden, the second is judged clean and with each fault.

Features are cached by the content of the clip, the feature spec and the faults,
so that a change of the judge is evaluated within seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from common.baselines.build import choose_rule, choose_sampling
from common.contracts.batches import SourceKind
from common.contracts.ids import content_id
from common.drift.windows import WindowRule
from common.extraction import Extractor, load_extractor
from common.features import FeatureBlock
from common.modalities.video.decode import Frame, sampled_frames
from common.modalities.video.frame_converter import StillPicture
from common.modalities.video.modality import VIDEO
from common.settings import Settings
from simulation.faults import SEVERITIES, Fault, sabotage_frames

_SEED = 7  # of the saboteur
SEVERITY_LEVELS = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Footage:
    """Features of one clip.

    Attributes
    ----------
    name : of the clip
    rule : the windows that `baseline build` would choose for the first half
    fps : sampled frames per second
    golden, clean : the first and the second half
    faulty : by fault and severity, the first window of the second half, with the fault in every frame
    """

    name: str
    rule: WindowRule
    fps: float
    golden: FeatureBlock
    clean: FeatureBlock
    faulty: dict[tuple[Fault, int], FeatureBlock]


@dataclass(frozen=True)
class Plan:
    """How a clip is sampled and judged: frames per second (None: every frame), number of samples, and windows."""

    fps: float | None
    native_fps: float
    count: int
    rule: WindowRule


def plan(
    clip: Path,
    extractor: Extractor,
    settings: Settings,
    kind: SourceKind = SourceKind.RECORDING,
    *,
    share: float = 0.5,
) -> Plan:
    """Return the sampling and windows that `baseline build` would choose if the first part of `clip` were a file.

    Parameters
    ----------
    share : of the clip that this part is
    """
    info = VIDEO.probe(clip, kind, extractor.limits)
    part = replace(info, duration=info.duration * share, frames=max(1, int(info.frames * share)))
    fps = choose_sampling([part], settings.window_frames, settings.sample_fps)
    count = info.sampled_count(fps)
    rule = choose_rule([replace(part, frames=int(count * share), fps=fps or info.fps)], None, settings)
    return Plan(fps, info.fps, count, rule)


def load_all(
    clips: list[Path], settings: Settings, cache: Path, processes: int, say: Callable[[str], None]
) -> list[Footage]:
    """Return the features of all clips, read from the cache where possible; a clip that fails is left out.

    Parameters
    ----------
    cache : folder of the cache
    processes : number of processes that extract features
    say : receives a message after each clip
    """
    found: dict[Path, Footage] = {}
    with ProcessPoolExecutor(processes) as pool:
        waiting = {pool.submit(_load, clip, settings, cache): clip for clip in clips}
        for done, future in enumerate(as_completed(waiting), 1):
            clip = waiting[future]
            try:
                found[clip] = future.result()
                say(f"[{done}/{len(clips)}] {clip.name}")
            except Exception as error:  # a clip that fails must not end the evaluation of the others
                say(f"[{done}/{len(clips)}] {clip.name} left out: {error}")
    return [found[clip] for clip in clips if clip in found]


def _load(clip: Path, settings: Settings, cache: Path) -> Footage:
    extractor = load_extractor(settings, VIDEO, None)
    sampling = plan(clip, extractor, settings)
    fps, count, rule = sampling.fps, sampling.count, sampling.rule
    feature_spec = extractor.feature_spec(fps)
    faults = content_id(feature_spec.to_json(), rule.to_json(), str({f: SEVERITIES[f] for f in Fault}), str(_SEED))
    folder = cache / f"{clip.stem}-{hashlib.blake2b(clip.read_bytes(), digest_size=6).hexdigest()}-{faults[:12]}"
    if not (folder / "complete").exists():
        _extract(clip, extractor, fps, count, rule, folder)
    blocks = {path.stem: FeatureBlock.from_bytes(path.read_bytes()) for path in folder.glob("*.npz")}
    faulty = {(fault, severity): blocks[f"{fault}-{severity}"] for fault in Fault for severity in SEVERITY_LEVELS}
    return Footage(clip.stem, rule, fps or sampling.native_fps, blocks["golden"], blocks["clean"], faulty)


def _extract(clip: Path, extractor: Extractor, fps: float | None, count: int, rule: WindowRule, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)

    def save(name: str, frames: Iterator[Frame]) -> None:
        blocks = list(extractor.features(frames, f"{clip.stem}", 32))
        (folder / f"{name}.npz").write_bytes(FeatureBlock.concatenate(blocks).to_bytes())

    def read(start: int, stop: int | None) -> Iterator[Frame]:
        return sampled_frames(
            clip, SourceKind.RECORDING, sample_fps=fps, start=start, stop=stop, limits=extractor.limits
        )

    half = count // 2
    save("golden", read(0, half))
    save("clean", read(half, None))
    first = list(read(half, half + rule.frames))
    for fault in Fault:
        for severity in SEVERITY_LEVELS:
            images = sabotage_frames((frame.image for frame in first), fault, severity, _SEED)
            save(
                f"{fault}-{severity}", (replace(f, picture=StillPicture(i)) for f, i in zip(first, images, strict=True))
            )
    (folder / "complete").touch()
