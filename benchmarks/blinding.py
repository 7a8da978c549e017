"""Does acting blind seeing? Faults that must never be learned, on every clip of a folder, with all the real parts.

    python -m benchmarks.blinding --data FOLDER [--severities 1,3,5] [--retrain-steps 250] [--first-steps 500]

Redis, features, reducer, incidents, the healer with the model that ships, policy and gate are the
real ones; queues and processes are left out. The first half of a clip is golden. Its third quarter is
shown with each fault that the policy trains on at no severity, with uniform random pixels, and with
its frames in random order (clean, and with noise), until a FAIL of it is confirmed. Then the
healer is run, whether the policy would call it or not, and the last quarter is shown with the same fault.
Each fault is tried

- together: those without severity, on a stream that shows noise of severity 3 and then them, one after the other; it
  is healed together with a second stream, which shows nothing but the noise. From this state on
- alone: on a new stream;
- after: on the second stream, whose noise is healed;
- amid: on a new stream, for little more than one window between two parts with noise, in one piece of footage.

Bars:

- no condition is made of footage that holds frames of the fault, and no model is trained on them;
- no window that FAILed on a stream without conditions passes after the healing;
- the noise that was healed FAILs on another stream of the same baseline, as it did before;
- at least one condition of noise was made: where nothing is healed, nothing could be blinded.

Windows of shuffled frames with noise count as failed where the same frames FAIL without it. Where noise is healed on
the same stream it may hide their order, as it hides it from anybody: such windows are counted apart and miss no bar,
nor do conditions that hold a fault so slight that no FAIL of it alone is confirmed. The exit code is 1 if a bar is
missed.

Clips are scaled to --width. Short quarters are shown forwards and backwards, which makes healing
easier than on fresh footage. Files and features are cached below --out.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.blinding_camera import Camera, Dump, camera_of, frames_of, is_confirmed, own_redis, trained_on
from benchmarks.blinding_footage import NO_SEVERITY, NOISE, SHUFFLED_NOISE, Damage, Footage, forbidden, joined
from benchmarks.blinding_report import Found, report
from benchmarks.clips import clips_below
from benchmarks.workbench import say
from common.contracts.verdicts import Status, Verdict
from common.errors import SentinelError
from common.extraction import load_extractor
from common.modalities.video.modality import VIDEO
from common.models.cases import Outcome
from common.settings import Settings

_FIRST = "first"  # the stream that shows nothing but noise, and is healed
_MOST_SHOWN = 3  # times, until a FAIL is confirmed
_AMID_SHARE = 1.25  # of a window: at least one window shows the fault and nothing else


class Trial:
    """All that is tried on the streams of one clip."""

    def __init__(self, name: str, footage: Footage, camera: Camera, found: Found, steps: int) -> None:
        self._name, self._footage, self._camera, self._found = name, footage, camera, found
        self._steps = steps

    def run(self, damages: list[Damage], first_steps: int, deadline: float) -> None:
        """Heal noise on one stream, then try each fault, in each way, from that state on.

        Parameters
        ----------
        first_steps : steps of the training that heals noise
        deadline : no fault is begun after it, by the monotonic clock
        """
        healed = self._heal_noise([row for row in damages if row.severity == NO_SEVERITY], first_steps)
        state = self._camera.save()
        for number, damage in enumerate(damages):
            began = time.monotonic()
            if began > deadline:
                healed = f"{len(damages) - number} faults were left out for want of time; {healed}"
                break
            before, _ = self._camera.show("control", self._footage.part("last", damage.without_noise))
            seen = self._try(damage, "alone", state, before, seen=None)
            for way in ("after", "amid"):
                self._try(damage, way, state, before, seen=seen)
            self._camera.restore(state)
            fails = sum(row.status is Status.FAIL for row in before)
            say(f"{self._name}, {damage}: {fails}/{len(before)} FAIL, {time.monotonic() - began:.0f} s,")
        self._found.clips.append(f"{self._name}: {healed}")

    def _heal_noise(self, beside: list[Damage], steps: int) -> str:
        """Heal noise on stream `first`, and on `together` beside faults; return what came of it."""
        camera, found = self._camera, self._found
        shown, later = self._footage.part("third", NOISE), self._footage.part("last", NOISE)
        elsewhere = [row for block in (shown, later) for row in camera.show("elsewhere", block)[0]]
        for stream in (_FIRST, "together"):
            camera.show_until_confirmed(stream, shown, _MOST_SHOWN)
        before = {row: camera.show("elsewhere", self._footage.part("last", row.without_noise))[0] for row in beside}
        waiting = {row: camera.show("together", self._footage.part("third", row)) for row in beside}
        outcome = camera.heal(_FIRST, "together", steps=steps)
        conditions = len(camera.conditions(_FIRST))
        mine, _ = camera.show(_FIRST, later)
        found.add("noise", _FIRST, "conditions", conditions)
        found.add("noise", "together", "conditions", len(camera.conditions("together")))
        found.add("noise", _FIRST, "matched", sum(row.condition is not None for row in mine))
        found.add("noise", _FIRST, "windows", len(mine))
        if conditions:
            again = [row for block in (shown, later) for row in camera.show("elsewhere", block)[0]]
            self._compare("noise", "elsewhere", elsewhere, again)
        for damage, (verdicts, place) in waiting.items():
            confirmed = is_confirmed(verdicts)
            found.add(str(damage), "together", "confirmed", confirmed)
            self._count_learned(damage, "together", "together", outcome, [place], seen=confirmed)
            after, _ = camera.show("together", self._footage.part("last", damage))
            self._compare(str(damage), "together", before[damage], after)
        return (
            f"{conditions} condition of noise first ({camera.said(_FIRST)}); beside faults: {camera.said('together')}"
        )

    def _try(self, damage: Damage, way: str, state: Dump, before: list[Verdict], *, seen: bool | None) -> bool:
        """Show a fault, heal, and show it again; return whether a FAIL of it was confirmed.

        Parameters
        ----------
        before : verdicts on the last quarter of a stream without conditions
        seen : whether a FAIL of it alone was confirmed; None: this is what is tried
        """
        camera, found, row = self._camera, self._found, str(damage)
        stream = _FIRST if way == "after" else f"{way}-{damage.fault}-{damage.severity}"
        camera.restore(state)
        harmed = self._footage.part("third", damage)
        if way == "amid":
            length = round(_AMID_SHARE * self._footage.golden.baseline.rule.frames)
            noise = [self._footage.part(quarter, NOISE) for quarter in ("third", "last")]
            block, (_, within, _) = joined(noise[0], harmed[:length], noise[1])
            confirmed, shown = camera.show_until_confirmed(stream, block, _MOST_SHOWN)
            places = [range(place.start + within.start, place.start + within.stop) for place in shown]
        else:
            confirmed, places = camera.show_until_confirmed(stream, harmed, _MOST_SHOWN)
        seen = confirmed if seen is None else seen
        outcome = camera.heal(stream, steps=self._steps)
        found.add(row, way, "clips", 1)
        found.add(row, way, "confirmed", confirmed)
        self._count_learned(damage, way, stream, outcome, places, seen=seen)
        after, _ = camera.show(stream, self._footage.part("last", damage))
        self._compare(row, way, before, after)
        return confirmed

    def _count_learned(
        self, damage: Damage, way: str, stream: str, outcome: Outcome, places: list[range], *, seen: bool
    ) -> None:
        """Count conditions of a stream that hold frames of a fault, at `places`, and trainings that began with them."""
        camera, found, row = self._camera, self._found, str(damage)
        conditions = camera.conditions(stream)
        harmful = [one for one in conditions if any(_overlap(frames_of(one), place) for place in places)]
        tried = [healed for first, healed in trained_on(outcome, stream) if any(first in place for place in places)]
        trained, refused = tried.count(True), tried.count(False)
        found.add(row, way, "refused", refused)
        if refused:
            found.gated.append(f"{self._name}, {damage}, {way}: {camera.said(stream)}")
        if not harmful and not trained:
            return
        causes = ", ".join(condition.cause for condition in harmful) or "none"
        sentence = f"{self._name}, {damage}, {way}: learned, conditions: {causes}; {camera.said(stream)}"
        found.add(row, way, "harmful" if seen else "unseen", max(len(harmful), trained))
        if seen:
            found.miss(sentence)
        else:
            found.note(sentence)

    def _compare(self, row: str, way: str, before: list[Verdict], after: list[Verdict]) -> None:
        """Count windows that FAILed before a healing, those of them that pass after it, and causes that changed."""
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            failed = old.status is Status.FAIL
            self._found.add(row, way, "windows", 1)
            self._found.add(row, way, "failed", failed)
            if failed and new.status is Status.PASS and row == SHUFFLED_NOISE and way in {"after", "together"}:
                self._found.add(row, way, "hidden", 1)
            elif failed and new.status is Status.PASS:
                self._found.add(row, way, "blinded", 1)
                match = f"matches {new.condition.cause}" if new.condition else "matches nothing"
                self._found.miss(
                    f"{self._name}, {row}, {way}: window {number} FAILed ({old.cause}, score {old.drift_score:.2f}, "
                    f"p {old.p_value:.2g}), now passes: {match}, score {new.drift_score:.2f}, p {new.p_value:.2g}"
                )
            elif failed and new.cause is not old.cause and row != SHUFFLED_NOISE:
                self._found.add(row, way, "renamed", 1)


def _overlap(one: range, other: range) -> bool:
    return one.start < other.stop and other.start < one.stop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with video clips of fixed cameras")
    parser.add_argument("--out", type=Path, default=Path(".sentinel/evaluate"), help="for the cache")
    parser.add_argument("--severities", default="1,3,5", help="of faults, separated by commas, each from 1 to 5")
    parser.add_argument("--retrain-steps", type=int, default=250, help="steps of one fine-tuning")
    parser.add_argument("--first-steps", type=int, default=500, help="steps of the one that heals noise first")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="no clip and no fault is begun after these")
    parser.add_argument("--width", type=int, default=384, help="most pixels across; larger clips are scaled down")
    chosen = parser.parse_args()
    logging.getLogger().setLevel(logging.ERROR)  # every refusal is a warning, and refusals are what is wanted
    settings = Settings()
    extractor = load_extractor(settings, VIDEO, None)
    damages = forbidden([int(severity) for severity in chosen.severities.split(",")])
    found, deadline = Found(), time.monotonic() + 60.0 * chosen.minutes
    with TemporaryDirectory() as folder, own_redis(Path(folder)):
        for clip in clips_below(chosen.data):
            began = time.monotonic()
            if began > deadline:
                found.clips.append(f"{clip.stem}: left out for want of time")
                continue
            try:
                footage = Footage(clip, extractor, settings, chosen.out, chosen.width)
                with camera_of(footage.baselines_dir, footage.folder) as camera:
                    trial = Trial(clip.stem, footage, camera, found, chosen.retrain_steps)
                    trial.run(damages, chosen.first_steps, deadline)
            except SentinelError as error:
                found.clips.append(f"{clip.stem}: left out, {error}")
            print(f"{found.clips[-1]} ({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)
    sys.exit(0 if report(found, damages) else 1)


if __name__ == "__main__":
    main()
