"""Cases of `benchmarks.heal`: three faults healed one after the other, and what must not be learned."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks import results
from benchmarks.blinding_camera import Camera, frames_of
from benchmarks.blinding_footage import CLEAN, NO_SEVERITY, NOISE, RANDOM_PIXELS, SHUFFLED, Damage, Footage, joined
from benchmarks.heal_measures import Row, champions, golden, psnr_db, triplets
from common.features import FeatureBlock
from common.models.betting import Finding
from common.models.comparing import compare, digests_of
from common.models.gate import Decision, Rules, decide
from common.models.names import DEFAULT_MODEL
from common.models.protocols import Examples
from common.models.vfi.kind import KIND
from common.models.vfi.model import Interpolator
from common.settings import Settings, get_settings
from simulation.faults import Fault
from workers import context

CLEAN_FOOTAGE = Damage(CLEAN, NO_SEVERITY)
_DRIFTS = (NOISE, Damage(Fault.LOW_LIGHT, 3), Damage(Fault.COMPRESSION, 3))
_FORGETTING = Damage(Fault.NOISE, 5)  # at severity 3, the weights that ship hardly forget
_GAIN_BARS = {Fault.NOISE: 0.4, Fault.LOW_LIGHT: 0.15}  # dB over the first champion
_OVER_DIS_BAR, _LOSS_BAR = 0.1, 0.2  # dB
_MOST_SHOWN = 3  # times, until a FAIL is confirmed
_AMID_SHARE = 1.25  # of a window: at least one window shows the fault and nothing else
_AMID = "black amid noise"


class Drift:
    """The streams of one clip, with one seed."""

    def __init__(self, name: str, seed: int, footage: Footage, camera: Camera, steps: int) -> None:
        self._name, self._seed, self._footage, self._camera, self._steps = name, seed, footage, camera, steps

    @property
    def first_champion(self) -> Interpolator:
        """What golden footage alone gives: the first champion, or what would be."""
        known = champions()
        if known:
            return known[0]
        self._camera.show("seen", self._footage.part("third", CLEAN_FOOTAGE))  # a stream has golden footage once known
        return KIND.first_model(golden().training, steps=Settings().first_steps, seed=self._seed)

    def healed(self) -> Iterator[Row]:
        """Show each fault on a stream of its own and heal it; at the end measure what was lost on the way.

        All figures are of the last quarter with the fault, of which nothing was trained on and no gate has decided.
        """
        then: dict[Damage, Interpolator] = {}
        for damage in _DRIFTS:
            stream = f"healed-{damage.fault}"
            confirmed, _ = self._camera.show_until_confirmed(stream, self._footage.part("third", damage), _MOST_SHOWN)
            known = len(champions()) if context.store().champions.champion(DEFAULT_MODEL) else 1
            outcome = self._camera.heal(stream, steps=self._steps)
            settled, said = outcome.settled_as(stream), self._camera.said(stream)
            if not champions():
                yield self._row(f"heal {damage}", "refused" if confirmed else "not seen", said, missed="not healed")
                continue
            versions = champions()
            first, before, now = versions[0], versions[known - 1], versions[-1]
            of_first, of_before, of_now, dis = psnr_db([first, before, now], triplets(self._footage, "last", damage))
            if settled == "promoted":
                then[damage] = now
            figures = {
                "over the first champion": of_now - of_first,
                "over the one before": of_now - of_before,
                "over DIS": of_now - dis,
                "first champion over DIS": of_first - dis,
            }
            how: str = "promoted" if len(versions) > known else "proved" if settled == "promoted" else settled
            if not confirmed:
                how = f"{how}, no FAIL confirmed"
            bars = {"over the first champion": _GAIN_BARS.get(Fault(damage.fault), 0.0), "over DIS": _OVER_DIS_BAR}
            missed = [f"{name} below {bar:+.2f}" for name, bar in bars.items() if figures[name] < bar]
            if settled != "promoted":
                missed.append("not healed")
            if missed and how.startswith("proved"):
                missed.append("it copes, and was not trained")
            yield self._row(f"heal {damage}", how, said, figures, ", ".join(missed))
        if then:
            yield self._kept(then)
            self._keep_picture()

    def _kept(self, then: dict[Damage, Interpolator]) -> Row:
        first, *_, last = [*champions(), champions()[-1]]
        of_first, of_last, _ = psnr_db([first, last], golden().held_out)
        figures = {"golden": of_last - of_first}
        for damage, model in list(then.items())[:-1]:
            was, now, _ = psnr_db([model, last], triplets(self._footage, "last", damage))
            figures[str(damage)] = now - was
        missed = [f"{name} loses more than {_LOSS_BAR}" for name, gain in figures.items() if gain < -_LOSS_BAR]
        return self._row(f"kept after {len(then)} conditions", "measured", "", figures, ", ".join(missed))

    def _keep_picture(self) -> None:
        decision = next((row.decision for row in context.store().champions.history(DEFAULT_MODEL) if row.decision), "")
        picture = Path(decision or "") / "examples.png"
        if decision and picture.exists():
            results.FOLDER.mkdir(exist_ok=True)
            print(f"picture: {shutil.copyfile(picture, results.FOLDER / f'heal-{self._name}.png')}", flush=True)

    def refused(self, tries: int) -> Iterator[Row]:
        """Show what must not be learned, each `tries` times with other random numbers, on a new stream each time."""
        state = self._camera.save()
        for number in range(tries):
            random = 1000 * self._seed + number
            for damage in (
                Damage(RANDOM_PIXELS, NO_SEVERITY, random),
                Damage(SHUFFLED, NO_SEVERITY, random),
                Damage(Fault.COVERED, 4, random),
                Damage(Fault.CAMERA_MOVED, 4, random),
            ):
                block = self._footage.part("third", damage)
                yield self._refused_by_healer(str(damage), block, range(len(block)))
                self._camera.restore(state)
            yield self._refused_by_healer(_AMID, *self._black_amid_noise(random))
            self._camera.restore(state)
        block = self._footage.part("third", CLEAN_FOOTAGE)  # nothing in it is random: once is enough
        yield self._refused_by_healer("clean, without drift", block, range(len(block)))
        self._camera.restore(state)
        for number in range(tries):
            yield from self._refused_by_gate(1000 * self._seed + number)

    def _black_amid_noise(self, random: int) -> tuple[FeatureBlock, range]:
        """Return noise with little more than a window of black in it, and where the black is."""
        length = round(_AMID_SHARE * self._footage.golden.baseline.rule.frames)
        noise = [
            self._footage.part(quarter, Damage(NOISE.fault, NOISE.severity, random)) for quarter in ("third", "last")
        ]
        black = self._footage.part("third", Damage(Fault.BLACK, 5, random))[:length]
        block, (_, within, _) = joined(noise[0], black, noise[1])
        return block, within

    def _refused_by_healer(self, case: str, block: FeatureBlock, within: range) -> Row:
        """Show footage of which the frames `within` must not be learned, and run the healer."""
        stream = f"rubbish-{case.replace(' ', '-').replace(',', '')}"
        versions = len(context.store().champions.history(DEFAULT_MODEL))
        confirmed, places = self._camera.show_until_confirmed(stream, block, _MOST_SHOWN)
        self._camera.heal(stream, steps=self._steps)
        harmful = [range(place.start + within.start, place.start + within.stop) for place in places]
        learned = [
            one.cause
            for one in self._camera.conditions(stream)
            if any(frames_of(one).start < bad.stop and bad.start < frames_of(one).stop for bad in harmful)
        ]
        new = len(context.store().champions.history(DEFAULT_MODEL)) > max(versions, 1)
        outcome = "PROMOTED" if learned else "refused by the healer" if confirmed else "nothing FAILs, nothing to heal"
        if new and not learned:
            outcome = f"{outcome}; the noise around it promoted"
        missed = "rubbish promoted" if learned else ""
        return self._row(f"refuse {case}", outcome, self._camera.said(stream), missed=missed)

    def _refused_by_gate(self, random: int) -> Iterator[Row]:
        """Yield what the gate decides on a champion that was merely trained on, and on one that forgot."""
        champion, replay = self.first_champion, golden()
        for case, damage in (
            ("clean, trained on further", CLEAN_FOOTAGE),
            ("noise, trained without replay", _FORGETTING),
        ):
            footage = triplets(self._footage, "third", damage)
            split = KIND.split_stretch(len(footage))
            training, held_out = footage[split.training], footage[split.held_out]
            kept = replay.training if damage == CLEAN_FOOTAGE else training
            challenger = KIND.trainer().fine_tune(
                champion,
                training,
                kept,
                steps=self._steps,
                seconds=float("inf"),
                seed=random,
                progress=lambda step: None,
            )
            trained_on = digests_of(training) | digests_of(kept)
            decision = _decided(champion, challenger.model, held_out, replay.held_out, trained_on)
            figures = {"gain": decision.gain_db, "golden": -decision.loss_db}
            outcome = "PROMOTED" if decision.promote else f"{decision.outcome} by the gate"
            if decision.promote and damage == _FORGETTING and decision.loss_db <= _LOSS_BAR:
                outcome = "promoted: it has not forgotten"
            missed = "rubbish promoted" if outcome == "PROMOTED" else ""
            yield self._row(f"refuse {case}", outcome, decision.reason, figures, missed)

    def _row(
        self, case: str, outcome: str, reason: str, figures: dict[str, float] | None = None, missed: str = ""
    ) -> Row:
        return Row(self._name, self._seed, case, outcome, reason, figures or {}, missed)


def _decided(
    champion: Interpolator, challenger: Interpolator, held_out: Examples, kept: Examples, trained_on: frozenset[str]
) -> Decision:
    """Return the gate's first decision, in which it spends most of its error, on one stretch."""
    rules = Rules.of(get_settings(), 1)
    comparison = compare(
        KIND, champion, challenger, {"stretch": held_out}, kept, trained_on=trained_on, live={}, lost={},
        is_open=lambda scores: rules.gain(scores).finding is Finding.OPEN, max_slowdown=rules.max_slowdown,
    )  # fmt: skip
    return decide(comparison, rules)
