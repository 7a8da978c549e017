"""The promotion gate: a challenger must heal what drifted, lose nothing, and be proved on all live conditions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from common.contracts.decisions import GateOutcome
from common.features import FloatArray
from common.models.betting import BLOCK, Bets, Finding, bet, spent_error
from common.models.bounds import lower_bound_of_excess, mean
from common.models.comparing import Comparison, Scores
from common.models.proof import Proof, proof_of
from common.settings import Settings

_FEWEST = 4  # held-out examples of each kind of footage; fewer are not enough for a decision
# Of each golden footage and condition, in each decision. It is not spent: a model is held against the same examples
# each time, and what would be let through by mistake is a loss just above the bound, not a promotion without gain.
_HARM_ERROR = 0.05
# Golden footage and conditions are a hundred examples each, far apart from one another, and lose little. So blocks and
# clips are smaller there: `make gate` says how often that errs.
_KEPT_BLOCK, _KEPT_CLIP_DB = 5, 0.2
_FEWEST_BLOCKS = 10  # where fewer examples are kept, their blocks are smaller still
_WORST_SHARE = 0.05


@dataclass(frozen=True)
class Rules:
    """What the gate asks for.

    Attributes
    ----------
    min_gain_db : least mean gain on each drifted stretch, dB
    max_loss_db : largest mean loss on golden footage and on each live condition, of all promotions together, dB
    max_worst_loss_db : largest mean loss on the worst 5% of examples of any footage, dB
    max_slowdown : longest time per example, in times of the champion's
    error : probability of promoting a gain that is below the least one
    """

    min_gain_db: float
    max_loss_db: float
    max_worst_loss_db: float
    max_slowdown: float
    error: float

    @classmethod
    def of(cls, settings: Settings, number: int) -> Rules:
        """Return the rules of the `number`-th decision about a model, which may spend a part of the error."""
        return cls(
            settings.promote_min_gain_db,
            settings.promote_max_loss_db,
            settings.promote_max_worst_loss_db,
            settings.promote_max_slowdown,
            spent_error(settings.promote_error, number),
        )

    def gain(self, scores: Scores, *more: Scores) -> Bets:
        """Return the bets on whether a stretch gains what is asked for, going on with `more` of its incident."""
        gains = np.concatenate([row.gains_db for row in (scores, *more)])
        return bet(gains, self.min_gain_db, error=self.error)

    def no_harm(self, scores: Scores, lost_db: float) -> Bets:
        """Return the bets on whether golden footage or a condition loses no more than is left of what is allowed.

        Parameters
        ----------
        lost_db : what earlier promotions have lost on it, dB
        """
        size = min(_KEPT_BLOCK, _block_of(scores))
        return harm(scores.gains_db, self.left_db(lost_db), block=size)

    def left_db(self, lost_db: float) -> float:
        """Return what may still be lost, dB, where earlier promotions have lost `lost_db`."""
        return max(self.max_loss_db - lost_db, 0.0)

    def gain_on_golden(self, scores: Scores) -> Bets:
        """Return the bets on whether golden footage gains what is asked for: what heals a champion that decayed."""
        return bet(scores.gains_db, self.min_gain_db, error=_HARM_ERROR, block=min(BLOCK, _block_of(scores)))


def harm(gains_db: FloatArray, left_db: float, *, block: int = _KEPT_BLOCK) -> Bets:
    """Return the bets on whether kept footage loses no more than `left_db` in the mean.

    What the bets find must be true of the mean as it is, too: clipped so narrowly, a few great losses hardly count.

    Parameters
    ----------
    gains_db : (n,) challenger's score minus champion's on each example, dB
    block : examples in a block
    """
    bets = bet(gains_db, -left_db, error=_HARM_ERROR, block=block, clip_db=_KEPT_CLIP_DB)
    agrees = (bets.mean_db >= -left_db) is (bets.finding is Finding.ABOVE)
    return bets if agrees else replace(bets, finding=Finding.OPEN)


def _block_of(scores: Scores) -> int:
    """Return the largest block of which kept footage fills enough."""
    return max(len(scores.champion) // _FEWEST_BLOCKS, 1)


@dataclass(frozen=True)
class Tested:
    """What was found on one piece of footage.

    Attributes
    ----------
    bets : on the mean difference of challenger and champion
    worst_db : mean difference of the worst 5% of examples, dB
    proof : of the challenger, against its references
    """

    bets: Bets
    worst_db: float
    proof: Proof


@dataclass(frozen=True)
class Decision:
    """The gate's decision.

    Attributes
    ----------
    outcome : what becomes of the challenger
    reason : why, with the figures
    gain_db : mean gain on drifted footage, dB
    loss_db : mean loss on golden footage, dB; negative: a gain
    stretches, golden, live : what was found on each piece of footage; empty where the scores allow no decision
    """

    outcome: GateOutcome
    reason: str
    gain_db: float
    loss_db: float
    stretches: Mapping[str, Tested] = field(default_factory=dict)
    golden: Tested | None = None
    live: Mapping[str, Tested] = field(default_factory=dict)

    @property
    def promote(self) -> bool:
        """Whether the challenger becomes champion."""
        return self.outcome is GateOutcome.PROMOTED


def decide(comparison: Comparison, rules: Rules) -> Decision:
    """Decide whether a challenger replaces the champion.

    It is refused, in this order,

    - if a stretch or the golden footage has too few held-out examples, some of
      which were trained on, or has scores that are not finite;
    - if it is not surely above every reference on a stretch;
    - if it surely gains less on a stretch than is asked for;
    - if it gains on golden footage, and not surely less there than on drifted
      footage: that is training, not healing;
    - if golden footage or a live condition surely loses more than is allowed;
    - if the worst 5% of the examples of any footage lose too much, which the
      bets do not see because they clip differences;
    - if it is not proved on a live condition;
    - if it is too slow.

    It is promoted if it surely gains what is asked for on each stretch by
    itself (`_gain_on` says what is done about short ones), and surely loses no
    more than is allowed on golden footage and on each live condition. Otherwise
    nothing is sure, and the champion stays. `betting` says what is sure; of
    references and of the gain on golden
    footage, the one-sided 95% bounds of `bounds` do.

    Where the champion decayed, its footage is as golden footage, so what heals
    it gains on both alike. There the gain is asked for on golden footage as
    well, and it is refused unless that surely gains what is asked for: no later
    golden footage will say more. A champion that is merely trained further on
    footage that it copes with gains too little on either.
    """
    gains = _gains(comparison)
    gain, loss = mean(gains), -mean(comparison.golden.gains_db)
    if (unusable := next(_unusable(comparison), None)) is not None:
        return Decision(GateOutcome.REFUSED, unusable, gain, loss)
    stretches = {
        name: _tested(scores, _gain_on(name, comparison, rules)) for name, scores in comparison.stretches.items()
    }
    of_golden = (
        rules.gain_on_golden(comparison.golden)
        if comparison.decayed
        else rules.no_harm(comparison.golden, comparison.lost_db)
    )
    golden = _tested(comparison.golden, of_golden)
    live = {
        name: _tested(scores, rules.no_harm(scores, comparison.live_lost_db.get(name, 0.0)))
        for name, scores in comparison.live.items()
    }
    surely = min(stretches.values(), key=lambda row: max(row.bets.for_it, default=1.0)).bets
    figures = f"{gain:+.2f} dB on drifted footage ({surely.text}), {-loss:+.2f} dB on golden"

    def decided(outcome: GateOutcome, why: str = "") -> Decision:
        return Decision(outcome, f"{figures}{why and f': {why}'}", gain, loss, stretches, golden, live)

    refusals = [
        *_weak(stretches),
        *_harmful(comparison, gains, golden, live, rules),
        *_tails(stretches, golden, live, rules),
    ]
    refusals += [*_unproved(comparison, live), *_slow(comparison, rules)]
    if refusals:
        return decided(GateOutcome.REFUSED, refusals[0])
    still_open = list(_open(stretches, golden, live, rules))
    if still_open:
        return decided(GateOutcome.INCONCLUSIVE, f"inconclusive, {still_open[0]}")
    return decided(GateOutcome.PROMOTED)


def _gains(comparison: Comparison) -> FloatArray:
    found = [scores.gains_db for scores in comparison.stretches.values()]
    return np.concatenate(found) if found else np.zeros(0, np.float32)


def _gain_on(name: str, comparison: Comparison, rules: Rules) -> Bets:
    """Return the bets on a stretch by itself; where they stay open, they go on with the other footage of its incident.

    They do so only if the stretch itself gains in the mean what is asked for: one that gains nothing is not carried.
    """
    scores = comparison.stretches[name]
    bets = rules.gain(scores)
    incident = comparison.incidents.get(name)
    if bets.finding is not Finding.OPEN or bets.mean_db < rules.min_gain_db or incident is None:
        return bets
    others = [other for other in comparison.stretches if other != name and comparison.incidents.get(other) == incident]
    return rules.gain(scores, *(comparison.stretches[other] for other in others))


def _tested(scores: Scores, bets: Bets) -> Tested:
    return Tested(bets, worst_mean(scores.gains_db), proof_of(scores.challenger, scores.references))


def after_loss(lost_db: float, loss_db: float) -> float:
    """Return what promotions have lost on some footage after one more; what it gains makes up for earlier losses.

    Examples
    --------
    >>> after_loss(0.125, 0.0625), after_loss(0.125, -0.5)
    (0.1875, 0.0)
    """
    return max(lost_db + loss_db, 0.0)


def worst_mean(differences: FloatArray) -> float:
    """Return the mean of the lowest 5% of differences (n,), at least one.

    Examples
    --------
    >>> worst_mean(np.array([0.1] * 38 + [-3.0, -5.0], np.float32))
    -4.0
    """
    return mean(np.sort(differences)[: math.ceil(_WORST_SHARE * len(differences))])


def _unusable(comparison: Comparison) -> Iterator[str]:
    """Yield why the scores allow no decision."""
    if not comparison.stretches:
        yield "there is no drifted footage to score on"
    footage = [*comparison.stretches.items(), ("golden footage", comparison.golden)]
    footage += [(f"live condition {name}", scores) for name, scores in comparison.live.items()]
    for name, scores in footage:
        if len(scores.champion) < _FEWEST:
            yield f"only {len(scores.champion)} examples of {name} to score on, {_FEWEST} are needed"
        elif known := len(scores.digests & comparison.trained_on):
            yield f"{known} held-out examples of {name} were trained on: its scores say nothing"
        elif not scores.finite:
            yield f"the scores on {name} are not finite: the challenger has diverged"


def _weak(stretches: Mapping[str, Tested]) -> Iterator[str]:
    """Yield why the challenger does not heal the drifted footage."""
    for name, tested in stretches.items():
        if not tested.proof.proved:
            yield f"on {name} {tested.proof.reason}"
    for name, tested in stretches.items():
        if tested.bets.finding is Finding.BELOW:
            yield f"{name} surely gains less than the {tested.bets.least_db:.2f} dB asked for ({tested.bets.text})"


def _harmful(
    comparison: Comparison, gains: FloatArray, golden: Tested, live: Mapping[str, Tested], rules: Rules
) -> Iterator[str]:
    """Yield why the challenger is no healed champion: it was merely trained further, or lost what was good."""
    of_golden = comparison.golden.gains_db
    if comparison.decayed and golden.bets.finding is not Finding.ABOVE:
        yield f"golden footage does not surely gain what heals a champion that decayed ({golden.bets.text})"
    if not comparison.decayed and mean(of_golden) > 0.0 and lower_bound_of_excess(gains, of_golden) <= 0.0:
        yield "the gain is no greater than that on golden footage: it is training, not healing"
    kept = _conditions(live) if comparison.decayed else {"golden footage": golden, **_conditions(live)}
    for name, tested in kept.items():
        if tested.bets.finding is Finding.BELOW:
            yield f"{name} surely loses more than {_allowed(tested, rules)} ({tested.bets.text})"


def _tails(stretches: Mapping[str, Tested], golden: Tested, live: Mapping[str, Tested], rules: Rules) -> Iterator[str]:
    """Yield where the worst examples lose too much."""
    for name, tested in {**stretches, "golden footage": golden, **_conditions(live)}.items():
        if -tested.worst_db > rules.max_worst_loss_db:
            yield (
                f"the worst {_WORST_SHARE:.0%} of the examples of {name} lose {-tested.worst_db:.2f} dB, "
                f"more than {rules.max_worst_loss_db:.2f}"
            )


def _unproved(comparison: Comparison, live: Mapping[str, Tested]) -> Iterator[str]:
    """Yield which live conditions the challenger is not proved on."""
    failed = {name: tested.proof.reason for name, tested in live.items() if not tested.proof.proved}
    for name, why in {**comparison.lost, **failed}.items():
        yield f"it fails live condition {name}: {why}"


def _slow(comparison: Comparison, rules: Rules) -> Iterator[str]:
    """Yield why the challenger takes too long."""
    latency = comparison.latency
    if latency.challenger_ms > rules.max_slowdown * latency.champion_ms:
        yield (
            f"it takes {latency.challenger_ms:.1f} ms per example, the champion {latency.champion_ms:.1f}: "
            f"more than {rules.max_slowdown:g} times as long"
        )


def _open(stretches: Mapping[str, Tested], golden: Tested, live: Mapping[str, Tested], rules: Rules) -> Iterator[str]:
    """Yield what is not sure."""
    for name, tested in stretches.items():
        if tested.bets.finding is Finding.OPEN:
            yield f"{name} may gain less than asked for: later footage may say more"
    for name, tested in {"golden footage": golden, **_conditions(live)}.items():
        if tested.bets.finding is Finding.OPEN:
            yield f"{name} may lose more than {_allowed(tested, rules)} ({tested.bets.text})"


def _allowed(tested: Tested, rules: Rules) -> str:
    """Return what kept footage may lose, in words."""
    left = -tested.bets.least_db
    if left >= rules.max_loss_db:
        return f"{rules.max_loss_db:.2f} dB"
    of = f"{rules.max_loss_db:.2f} (SENTINEL_PROMOTE_MAX_LOSS_DB)"
    return f"the {left:.2f} dB that promotions before it have left of {of}"


def _conditions(live: Mapping[str, Tested]) -> dict[str, Tested]:
    return {f"live condition {name}": tested for name, tested in live.items()}
