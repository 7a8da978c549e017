"""Decisions of the gate on disk: a folder each, with the evidence as JSON and as a picture."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from pathlib import Path

from common.contracts.decisions import DecisionRecord, FootageEvidence
from common.errors import BadMessage, BadModel
from common.features import Image
from common.models.comparing import Comparison, Scores
from common.models.gate import Decision, Rules, Tested
from common.models.side_by_side import png

RECORD_FILE = "decision.json"
PICTURE_FILE = "examples.png"


def record_of(
    comparison: Comparison, decision: Decision, rules: Rules, *, model: str, number: int, champion: int,
    champion_digest: str | None, challenger_digest: str, seed: int, picture: bool,
) -> DecisionRecord:  # fmt: skip
    """Return a decision with its evidence.

    Parameters
    ----------
    number : the how manieth decision about the model it is
    champion : version of the champion
    seed : of the training
    picture : whether there is one
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
        picture=picture,
    )


def save_decision(folder: Path, record: DecisionRecord, picture: Image | None) -> None:
    """Write a decision to `folder` completely or not at all.

    Raises
    ------
    BadModel
        If it cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        (staging / RECORD_FILE).write_text(record.model_dump_json(indent=1), encoding="utf-8")
        if picture is not None:
            (staging / PICTURE_FILE).write_bytes(png(picture))
        staging.chmod(0o755)
        staging.rename(folder)
    except OSError as error:
        raise BadModel(f"the decision cannot be written to {folder}: {error.strerror or error}; free space") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def load_decision(folder: Path) -> DecisionRecord:
    """Return the decision in `folder`; raise `BadModel` if it is missing or damaged."""
    try:
        return DecisionRecord.from_json((folder / RECORD_FILE).read_bytes())
    except (OSError, BadMessage) as error:
        raise BadModel(f"the decision in {folder} is missing or damaged ({error}): nothing depends on it") from error


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
