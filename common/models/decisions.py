"""Decisions of the gate on disk: a folder each, with the evidence as JSON and as a picture."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from common.contracts.decisions import DecisionRecord, FootageEvidence, GateOutcome
from common.errors import BadMessage, BadModel
from common.features import Image
from common.models.comparing import Comparison, Scores
from common.models.gate import Decision, Rules, Tested
from common.models.side_by_side import png
from common.whole_files import whole_folder

RECORD_FILE = "decision.json"
DIGEST_FILE = "decision.digest"
PICTURE_FILE = "examples.png"


def record_of(
    comparison: Comparison, decision: Decision, rules: Rules, *, model: str, number: int, champion: int,
    champion_digest: str | None, challenger_digest: str, seed: int, picture: bool, cause: str = "",
    actions: Sequence[str] = (), replayed: Sequence[str] = (),
) -> DecisionRecord:  # fmt: skip
    """Return a decision with its evidence.

    Parameters
    ----------
    number : the how manieth decision about the model it is
    champion : version of the champion
    seed : of the training
    picture : whether there is one
    cause, actions : what was to be healed, and the ids of the actions on incidents that led to it
    replayed : ids of the conditions that were trained on beside the drifted footage
    """

    def rows(tested: dict[str, Tested], scores: dict[str, Scores]) -> tuple[FootageEvidence, ...]:
        return tuple(_evidence(name, row, scores[name]) for name, row in tested.items())

    golden = decision.golden
    return DecisionRecord(
        model=model,
        number=number,
        outcome=decision.outcome,
        reason=decision.reason,
        made_at=time.time(),
        champion=champion,
        champion_digest=champion_digest,
        challenger_digest=challenger_digest,
        seed=seed,
        error=rules.error,
        gain_db=decision.gain_db,
        loss_db=decision.loss_db,
        stretches=rows(dict(decision.stretches), dict(comparison.stretches)),
        golden=None if golden is None else _evidence("golden footage", golden, comparison.golden),
        conditions=rows(dict(decision.live), dict(comparison.live)),
        champion_ms=comparison.latency.champion_ms,
        challenger_ms=comparison.latency.challenger_ms,
        trained_on=len(comparison.trained_on),
        trained_on_digest=_digest_of(comparison.trained_on),
        incidents=tuple(sorted(set(comparison.incidents.values()))),
        cause=cause,
        actions=tuple(actions),
        replayed=tuple(replayed),
        picture=picture,
    )


def save_decision(folder: Path, record: DecisionRecord, picture: Image | None) -> str:
    """Write a decision to `folder` completely or not at all; return its digest, which is written with it.

    Raises
    ------
    BadModel
        If it cannot be written.
    """
    text = record.model_dump_json(indent=1)
    digest = _digest_of_text(text)
    try:
        with whole_folder(folder) as staging:
            (staging / RECORD_FILE).write_text(text, encoding="utf-8")
            (staging / DIGEST_FILE).write_text(f"{digest}\n", encoding="ascii")
            if picture is not None:
                (staging / PICTURE_FILE).write_bytes(png(picture))
    except OSError as error:
        raise BadModel(f"the decision cannot be written to {folder}: {error.strerror or error}; free space") from error
    return digest


def load_decision(folder: Path, digest: str | None = None) -> DecisionRecord:
    """Return the decision in `folder` after verifying its digest.

    Parameters
    ----------
    digest : as a version's record names it; None: no version does, and the one beside the decision must do

    Raises
    ------
    BadModel
        If it is missing, damaged, or not what was saved there.
    """
    try:
        data = (folder / RECORD_FILE).read_bytes()
        beside = (folder / DIGEST_FILE).read_text(encoding="ascii").strip()
        record = DecisionRecord.from_json(data)
    except (OSError, ValueError, BadMessage) as error:
        raise BadModel(f"the decision in {folder} is missing or damaged ({error}): nothing depends on it") from error
    if _digest_of_text(data.decode()) != beside or digest not in {None, beside}:
        raise BadModel(f"the decision in {folder} is not what was saved there: nothing depends on it")
    return record


def find_decision(folders: Sequence[Path], actions: Collection[str], cause: str | None = None) -> DecisionRecord | None:
    """Return the latest decision against a challenger that one of some actions on incidents had come to; None: none.

    A retraining that was killed may have left one before the incident was told.

    Parameters
    ----------
    folders : of decisions, oldest first
    cause : of the footage; None: any
    """
    for folder in reversed(folders):
        try:
            record = load_decision(folder)
        except BadModel:
            continue
        mine = set(actions) & set(record.actions) and cause in {None, record.cause}
        if mine and record.outcome is not GateOutcome.PROMOTED:
            return record
    return None


def _digest_of_text(text: str) -> str:
    """Return a digest of a decision as it is written: of what its JSON says, however it is laid out."""
    return hashlib.blake2b(json.dumps(json.loads(text), sort_keys=True).encode(), digest_size=16).hexdigest()


def _evidence(name: str, tested: Tested, scores: Scores) -> FootageEvidence:
    bets = tested.bets
    return FootageEvidence(
        name=name,
        finding=bets.finding,
        examples=len(scores.champion),
        looked_at=bets.examples,
        block=bets.block,
        gain_db=bets.mean_db,
        least_db=bets.least_db,
        worst_db=tested.worst_db,
        for_it=bets.for_it,
        against_it=bets.against_it,
        needed=bets.needed,
        over_reference=tested.proof.reason,
        digest=_digest_of(scores.digests),
    )


def _digest_of(digests: frozenset[str]) -> str:
    return hashlib.blake2b(" ".join(sorted(digests)).encode(), digest_size=16).hexdigest()
