"""`sentinel streams accept | undo | forget`: a person's word about what is normal, and about what is to go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from common.contracts.golden import GoldenRecord
from common.moments import clock
from common.settings import get_settings
from sentinel.cli.console import JsonOption, err, out, print_json
from sentinel.cli.stream_names import (
    ByOption,
    StreamArgument,
    WhyOption,
    YesOption,
    confirm,
    person,
    reason,
    stream_name,
)
from sentinel.stack.local import open_store, redis_url, settings_of_stack

if TYPE_CHECKING:
    from common.baselines.acceptance import Proposal

_SHOWN_DIGITS = 12  # of a baseline's id


def accept(
    stream: StreamArgument,
    incident: Annotated[
        str, typer.Option(help="Id of one incident, or its beginning.", show_default="all that are open")
    ] = "",
    why: WhyOption = "",
    by: ByOption = "",
    yes: YesOption = False,
    even_blind: Annotated[
        bool, typer.Option("--even-blind", help="With --yes: even a black, frozen or covered picture.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """The present is the new normal: make the footage of the stream's incidents its golden baseline."""
    from common import broker
    from common.actions import golden

    settings, name = settings_of_stack(get_settings()), stream_name(stream)
    store = open_store(settings)
    proposal = golden.propose(store, settings, name, incident)
    _show_proposal(proposal)
    _ask(proposal, yes=yes, even_blind=even_blind)
    broker.connect_to(redis_url(settings))
    record = golden.accept(store, settings, proposal, by=person(by), why=reason(why))
    _show_record(record, as_json, f"stream {name} is judged by what was accepted from now on")


def _show_proposal(proposal: Proposal) -> None:
    footage = proposal.footage
    taken = f", taken {clock(footage.taken[0])} to {clock(footage.taken[1])}" if footage.taken else ""
    seen = ", ".join(f"{cause} in {count}" for cause, count in sorted(footage.causes.items()))
    err.print(f"stream {proposal.stream}: {footage.frames} frames of {len(proposal.incidents)} incidents{taken}")
    err.print(f"what the judge saw in its windows: {seen}")
    err.print(
        f"golden now: {proposal.golden.name} ({proposal.golden.id[:_SHOWN_DIGITS]}), {proposal.golden.comes_from}"
    )
    if footage.adds:
        err.print("it is of hours that were not known: what was learned stays, and this is added")


def _ask(proposal: Proposal, *, yes: bool, even_blind: bool) -> None:
    """Ask once, and once more where nothing can be seen; end without a result unless every answer is yes."""
    from common.actions.golden import blind_windows, sight_text

    blind = blind_windows(proposal)
    sight = sight_text(blind)
    if yes and blind and not even_blind:
        raise typer.BadParameter(
            f"this footage shows {sight}: look at the camera first; to accept it all the same, say --yes --even-blind"
        )
    if yes:
        return
    after = "beside what it has learned" if proposal.footage.adds else "and what was normal will FAIL"
    confirm(f"This footage becomes the normal picture of stream {proposal.stream}, {after}.")
    if blind:
        confirm(
            f"It shows {sight}. From now on that PASSes, and nobody is told that stream {proposal.stream} sees nothing."
        )


def undo(stream: StreamArgument, why: WhyOption = "", by: ByOption = "", as_json: JsonOption = False) -> None:
    """Take the last acceptance back: the golden baseline before it is golden again. A second undo goes further back."""
    from common import broker
    from common.actions import golden

    settings, name = settings_of_stack(get_settings()), stream_name(stream)
    store = open_store(settings)
    broker.connect_to(redis_url(settings))
    record = golden.undo(store, settings, name, by=person(by), why=reason(why))
    _show_record(record, as_json, f"acceptance {record.undoes} of stream {name} is undone")


def forget(stream: StreamArgument, yes: YesOption = False, as_json: JsonOption = False) -> None:
    """Take a stream out whole: frames, images, evidence, incidents, events, dead letters, what it learned."""
    from sentinel.forget import forget as take_out
    from sentinel.forget import require_any

    settings, name = settings_of_stack(get_settings()), stream_name(stream)
    store = open_store(settings)
    require_any(store, settings, name)
    if not yes:
        confirm(f"Everything that is kept of stream {name} goes, pictures included. This cannot be undone.")
    gone = take_out(store, settings, name)
    if as_json:
        print_json(gone.to_json())
        return
    out.print(
        f"stream {name} is forgotten: {gone.keys} keys, {gone.events} events, {gone.camera_events} camera events, "
        f"{gone.truth} messages of truth, {gone.dead_letters} dead letters, {gone.conditions} conditions, "
        f"{gone.baselines} accepted baselines, "
        f"{gone.bursts} learned bursts, {gone.posted} posted files"
    )
    if gone.came_back:
        out.styled(("footage of it still comes in", "yellow"), ", with which it begins anew: stop the camera first")
    out.print(
        f"What you own stays: its files, such as those in {settings.watch_dir / name}, are accepted again when "
        "`watch` starts anew; and its table in sentinel.toml, with the baseline that it names"
    )


def _show_record(record: GoldenRecord, as_json: bool, said: str) -> None:
    if as_json:
        print_json(record.to_json())
        return
    out.print(f"{said} (baseline {record.baseline_id[:_SHOWN_DIGITS]})")
    out.print(f"`sentinel streams show {record.stream}` has the history")
