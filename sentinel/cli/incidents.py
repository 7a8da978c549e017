"""`sentinel incidents list | show | ack`: what a person has to know of the cameras."""

from __future__ import annotations

import getpass
import json
from pathlib import PurePath
from typing import Annotated

import typer

from common.contracts.incidents import ActionKind, Incident
from common.contracts.policy import Policy
from common.contracts.verdicts import Cause
from common.incident_story import action_text, time_line, times_text
from common.moments import clock
from common.printable import encodable
from common.queries import IncidentChoice, incidents, retraining_of
from common.responses import advice_about
from common.settings import get_settings
from sentinel.cli.console import JsonOption, Piece, columns, out, print_json, print_messages
from sentinel.cli.streams import INCIDENT_COLOURS, StreamOption, report_text
from sentinel.stack.local import open_store, redis_url

app = typer.Typer(help="What a person has to know of the cameras: look, acknowledge.", no_args_is_help=True)

IdArgument = Annotated[str, typer.Argument(help="Id or its beginning.")]

_SAID_ELSEWHERE = {ActionKind.ACKNOWLEDGE, ActionKind.ALERT}  # by its own words, or in the time line alone
_SHOWN_DIGITS = 8  # of an id, which is enough to name it
_LONGEST_NAME = 200  # characters of a person's name, as of a stream's


@app.command("list")
def list_(
    stream: StreamOption = "",
    state: Annotated[
        IncidentChoice | None, typer.Option(case_sensitive=False, help="Only incidents in this state.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the incidents: those that fail first, then offline, healed and closed ones."""
    found = incidents(open_store(get_settings()), stream=stream, state=state)
    if as_json:
        print_messages(found)
        return
    if not found:
        out.print("no incident fits" if stream or state else "no incidents")
        return
    heads = ["id", "state", "stream", "cause", "since", "latest", "windows", "what else"]
    columns(heads, [_row(incident) for incident in found], cut=(2, 7))


def _row(incident: Incident) -> list[Piece]:
    windows = "none" if incident.cause is Cause.OFFLINE else f"{incident.failed_windows} failed"
    if incident.matched_windows:
        windows += f", {incident.matched_windows} healed"
    return [
        incident.id[:_SHOWN_DIGITS],
        (incident.state.value, INCIDENT_COLOURS[incident.state]),
        incident.stream,
        incident.cause,
        clock(incident.since_time),
        clock(incident.latest_at),
        windows,
        ", ".join(_remarks(incident)),
    ]


def _remarks(incident: Incident) -> list[str]:
    """Return what else is worth knowing of an incident, each in a few words."""
    found = []
    if incident.times_this_week > 1:
        found.append(times_text(incident))
    if incident.muted:
        found.append("muted")
    if incident.acknowledged_by:
        found.append(f"acknowledged by {incident.acknowledged_by}")
    done = [action for action in incident.actions if action.kind not in _SAID_ELSEWHERE]
    found += [action_text(action) for action in done[-1:]]
    if incident.ended:
        found.append(incident.ended)
    return found


@app.command()
def show(incident_id: IdArgument, as_json: JsonOption = False) -> None:
    """Show one incident: what happened when, and its worst frames."""
    from common.actions.incidents import incident_of_id

    settings = get_settings()
    store = open_store(settings)
    incident = incident_of_id(store, incident_id)
    running = retraining_of(store, incident)
    if as_json:
        retraining = running.model_dump(mode="json") if running else None
        print_json(json.dumps({**incident.model_dump(mode="json"), "retraining": retraining}))
        return
    remarks = [times_text(incident)] if incident.times_this_week > 1 else []
    remarks += ["muted"] if incident.muted else []
    facts = {
        "incident": incident.id,
        "stream": incident.stream,
        "model": incident.model,
        "cause": _causes(incident),
        "calls for": advice_about(incident.cause, Policy.parse(settings.policy), of_user=incident.is_of_user),
        **({"copes": incident.model_score.sentence} if incident.model_score else {}),
        **({"truth": incident.truth.sentence} if incident.truth else {}),
        **_frames(incident),
        **({"healing": report_text(running)} if running else {}),
    }
    out.styled((f"{incident.state}", INCIDENT_COLOURS[incident.state]), "".join(f", {remark}" for remark in remarks))
    for name, value in facts.items():
        out.styled((f"{name:10}", "bold"), value)
    times = "" if incident.cause is Cause.OFFLINE else " (capture times, where there are any)"
    out.styled((f"time line{times}", "bold"))
    for moment in time_line(incident):
        out.print(f"  {clock(moment.at)}  {moment.what}")
    if incident.worst_frames:
        out.styled(("worst frames", "bold"))
    for frame in incident.worst_frames:
        name = PurePath(frame.source).name or frame.source
        out.print(f"  {name} at {frame.time:.2f} s, distance {frame.distance:.2f}")


def _frames(incident: Incident) -> dict[str, str]:
    """Return what there is to say of an incident's windows and frames."""
    if incident.cause is Cause.OFFLINE:
        return {"frames": f"none after position {incident.since} of the stream"}
    if incident.by_truth:
        return {"windows": f"{incident.failed_windows} of truth failed"}
    return {
        "windows": f"{incident.failed_windows} failed, {incident.matched_windows} matched a condition of the champion",
        "frames": f"from position {incident.since} of the stream",
    }


def _causes(incident: Incident) -> str:
    if not incident.causes:
        return incident.cause
    others = [f"{cause} {count}" for cause, count in sorted(incident.causes.items(), key=_by_count)]
    return f"{incident.cause} (windows: {', '.join(others)})"


def _by_count(row: tuple[Cause, int]) -> tuple[int, str]:
    return -row[1], row[0]


@app.command()
def ack(
    incident_id: IdArgument,
    by: Annotated[str, typer.Option(help="Who has seen it.", show_default="the user's name")] = "",
    as_json: JsonOption = False,
) -> None:
    """Acknowledge an incident: somebody has seen it. The reducer writes it down in a moment."""
    from common import broker
    from common.actions.incidents import acknowledge, incident_of_id

    settings = get_settings()
    store = open_store(settings)
    incident = incident_of_id(store, incident_id)
    name = encodable(by.strip() or _user())[:_LONGEST_NAME]
    broker.connect_to(redis_url(settings))
    acknowledge(store, incident, by=name)
    if as_json:
        print_json(json.dumps({"id": incident.id, "stream": incident.stream, "acknowledged_by": name}))
    else:
        out.print(f"incident {incident.id[:_SHOWN_DIGITS]} of {incident.stream} is acknowledged by {name}")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container whose user has no name
        return "somebody"
