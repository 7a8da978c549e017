"""Command lines of processes with variables in place of settings, for whoever starts them by a file."""

from __future__ import annotations

from collections.abc import Callable

from common.processes import Process, Worker
from common.settings import Settings


def words(process: Process, variable: Callable[[str, object], str]) -> list[str]:
    """Return the words of a process's command line.

    Parameters
    ----------
    variable : from the name of a variable and its default to how the file writes it
    """
    defaults = Settings(_env_file=None)
    settings = ["log_level"]
    if isinstance(process.start, Worker) and process.start.processes:
        settings.append(process.start.processes)
    written = {name: variable(f"SENTINEL_{name.upper()}", getattr(defaults, name)) for name in settings}
    return process.command(defaults.model_copy(update=written))
