"""`sentinel champions at | diff`: which version was champion when, and in what two of them differ."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated

import typer

from common.contracts.conditions import ConditionRecord
from common.contracts.decisions import DecisionRecord, FootageEvidence
from common.contracts.lineage import VersionDiff
from common.contracts.models import ChampionRecord
from common.models.registry import history_of
from common.moments import clock
from common.settings import get_settings
from sentinel.cli.console import JsonOption, columns, out, print_json
from sentinel.cli.moments import MomentArgument, moment
from sentinel.cli.streams import number
from sentinel.stack.local import open_store

VersionArgument = Annotated[str, typer.Argument(help="A number, or champion or previous.")]

_SHOWN_DIGITS = 12  # of a digest or an id


def at(model: str, when: MomentArgument, as_json: JsonOption = False) -> None:
    """Say which version of a model was champion at a time."""
    from common.models.lineage import champion_at

    seconds = moment(when, time.time())
    found = champion_at(history_of(open_store(get_settings()), model), seconds)
    if as_json:
        print_json(found.to_json())
        return
    record = found.champion
    until = "and is champion now" if found.until is None else f"until {clock(found.until)}"
    out.print(f"{record.model} v{record.version} was champion at {clock(found.at)}")
    out.print(f"it was since {clock(record.created_at)}, {until}: {record.reason}")
    out.print(f"weights {_digest(record)}, proved on {len(record.conditions)} conditions")


def diff(
    model: str, one: VersionArgument = "previous", other: VersionArgument = "champion", as_json: JsonOption = False
) -> None:
    """Say in what two versions of a model differ."""
    from common.models import lineage

    history = history_of(open_store(get_settings()), model)
    found = lineage.diff(*(lineage.chosen_version(history, name) for name in (one, other)))
    if as_json:
        print_json(found.to_json())
        return
    before, after = _facts(found.old), _facts(found.new)
    heads = ["", f"v{found.old.version}", f"v{found.new.version}"]
    columns(heads, [[name, before[name], after[name]] for name in before], cut=(1, 2))
    for record in (found.old, found.new):
        out.print(f"why v{record.version}: {record.reason}")
    if found.decision is not None:
        _show_decision(found.decision)
    _show_layers(found)
    for what, rows in (("gained", found.gained), ("kept", found.kept), ("lost", found.lost)):
        out.print(f"conditions {what}: {_conditions(rows)}")
    for reason in found.unknown:
        out.print(f"unknown: {reason}")


def _facts(record: ChampionRecord) -> dict[str, str]:
    return {
        "made": clock(record.created_at),
        "from": "golden footage" if record.parent is None else f"v{record.parent}",
        "weights": _digest(record),
        "gain, dB": number(record.gain_db),
        "loss, dB": number(record.loss_db),
        "conditions": str(len(record.conditions)),
    }


def _digest(record: ChampionRecord) -> str:
    return record.model_digest[:_SHOWN_DIGITS] if record.model_digest else "none"


def _show_decision(decision: DecisionRecord) -> None:
    """Show what the newer version was trained on, and the gate's figures."""
    incidents = ", ".join(row[:_SHOWN_DIGITS] for row in decision.incidents) or "unknown"
    replayed = ", ".join(row[:_SHOWN_DIGITS] for row in decision.replayed) or "none"
    out.print(
        f"trained from v{decision.champion} on {decision.trained_on} examples: incidents {incidents}; conditions "
        f"replayed {replayed}"
    )
    heads = ["the gate scored", "examples", "gain, dB", "asked for", "worst 5%", "finding"]
    golden = () if decision.golden is None else (decision.golden,)
    rows = [_evidence(row) for row in (*decision.stretches, *golden, *decision.conditions)]
    columns(heads, rows, cut=(0,))
    out.print(f"milliseconds per example: {decision.champion_ms:.1f} before, {decision.challenger_ms:.1f} since")


def _evidence(row: FootageEvidence) -> list[str]:
    return [row.name, str(row.looked_at), number(row.gain_db), number(row.least_db), number(row.worst_db), row.finding]


def _show_layers(found: VersionDiff) -> None:
    if found.same_weights:
        out.print("their weights are the same")
    if found.layers:
        rows = [[row.layer, f"{row.mean:.2%}", f"{row.largest:.2%}"] for row in found.layers]
        columns(["layer", "changed in the mean by", "at most by"], rows, cut=(0,))
        out.print("relative to the root mean square of the layer's weights before; other layers are equal")


def _conditions(rows: Sequence[ConditionRecord]) -> str:
    return ", ".join(f"{row.cause} of {row.stream} ({row.id[:_SHOWN_DIGITS]})" for row in rows) or "none"
