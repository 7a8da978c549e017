"""Cases of `benchmarks.heal`: a model that decayed is found and healed, a bad promotion is rolled back."""

from __future__ import annotations

import math
from pathlib import Path

from benchmarks.blinding_camera import Camera, is_confirmed
from benchmarks.blinding_footage import Footage
from benchmarks.heal_drift import CLEAN_FOOTAGE
from benchmarks.heal_measures import Row, champions, golden, psnr_db
from common.contracts.decisions import GateOutcome
from common.contracts.verdicts import Cause, Verdict
from common.models import registry
from common.models.canary import bets_on
from common.models.gate import Decision
from common.models.names import DEFAULT_MODEL
from common.models.vfi.model import Interpolator
from common.settings import get_settings
from simulation.model_faults import perturbed
from workers import canary, context

_STREAM = "watched"
_MOST_SHOWN_DECAYED = 120  # times, until decay is confirmed
_MOST_SHOWN = 12  # times, until the canary has decided
_WINDOWS_BAR, _TRIPLETS_BAR = 2, 100


def decayed(name: str, seed: int, footage: Footage, camera: Camera, sound: Interpolator, steps: int) -> Row:
    """Perturb the weights of a `sound` champion, show clean footage until decay is confirmed, and heal."""
    store, settings, case = context.store(), get_settings(), "decayed, on clean footage"
    clean = footage.part("third", CLEAN_FOOTAGE)
    camera.show(_STREAM, clean)  # a stream has golden footage once it is known
    worse = perturbed(sound, 1.0, seed)
    registry.register_first(store, DEFAULT_MODEL, worse, None, settings.state_dir)
    context.live_scoring().refer(_STREAM)
    path = Path(clean.sources[0])
    scored = context.live_scoring().scored(_STREAM, path, clean, 0, "once").features  # it shows the same each time
    verdicts: list[Verdict] = []
    showings = 0
    while showings < _MOST_SHOWN_DECAYED and not is_confirmed(verdicts):
        showings += 1
        verdicts += camera.show(_STREAM, scored)[0]
    named = next((row for row in verdicts if row.cause is Cause.MODEL_DECAY), None)
    windows = math.ceil((named.stop - verdicts[0].start) / footage.golden.baseline.rule.frames) if named else 0
    outcome = camera.heal(_STREAM, steps=steps)
    now = champions()[-1]
    of_sound, of_worse, of_now, dis = psnr_db([sound, worse, now], golden().held_out)
    figures = {
        "windows until named": windows,
        "seconds of footage until confirmed": round(showings * float(clean.times[-1])) if is_confirmed(verdicts) else 0,
        "golden, perturbed": of_worse - of_sound,
        "golden, healed": of_now - of_sound,
        "golden, healed over DIS": of_now - dis,
    }
    missed = "" if 0 < windows <= _WINDOWS_BAR else f"not named within {_WINDOWS_BAR} windows"
    settled = outcome.settled_as(_STREAM)
    if settled != "promoted":
        missed = ", ".join(filter(None, [missed, "not healed"]))
    return Row(name, seed, case, settled, camera.said(_STREAM), figures, missed)


def rolled_back(name: str, seed: int, footage: Footage, camera: Camera, sound: Interpolator) -> Row:
    """Promote a worse one over a `sound` champion, and let the canary decide after each showing of clean footage."""
    store, settings, case = context.store(), get_settings(), "bad promotion, canary"
    parts = [footage.part(quarter, CLEAN_FOOTAGE) for quarter in ("third", "last")]
    camera.show(_STREAM, parts[0])
    before = registry.register_first(store, DEFAULT_MODEL, sound, None, settings.state_dir)
    bad = registry.promote(
        store, before, perturbed(sound, 1.0, seed), [],
        decision=Decision(GateOutcome.PROMOTED, "made worse on purpose", gain_db=0.3, loss_db=0.0),
        evidence=settings.state_dir / "decision-1", evidence_digest="d", state_dir=settings.state_dir,
    )  # fmt: skip
    differences: list[float] = []
    for number in range(_MOST_SHOWN):
        camera.show(_STREAM, parts[number % 2])
        by_chunk = store.canaries.by_chunk(_STREAM, bad)
        differences = [value for values in by_chunk.values() for value in values]
        canary.settle(DEFAULT_MODEL)
        if _champion_digest() != bad.model_digest or len(differences) >= 3 * _TRIPLETS_BAR:
            break
    needed = next((n for n in range(1, len(differences) + 1) if bets_on(differences[:n], 1, settings) is not None), 0)
    back = _champion_digest() == before.model_digest
    record = store.champions.champion(DEFAULT_MODEL)
    figures = {"live triplets needed": needed, "worse by": sum(differences) / max(len(differences), 1)}
    missed = "" if back and 0 < needed <= _TRIPLETS_BAR else f"not back within {_TRIPLETS_BAR} triplets"
    return Row(name, seed, case, "rolled back" if back else "stays", record.reason if record else "", figures, missed)


def _champion_digest() -> str | None:
    record = context.store().champions.champion(DEFAULT_MODEL)
    return record.model_digest if record else None
