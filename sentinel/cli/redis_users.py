"""`sentinel redis acl`: the users of a Redis of your own."""

from __future__ import annotations

import json
import os
import secrets
from typing import Annotated, Any

import redis
import typer

from common.errors import SettingsError
from common.redis_users import CAMERA, NOBODY, TRUTH, RedisUser, camera_user, sentinel_user
from common.settings import Settings, get_settings
from sentinel.cli.console import JsonOption, err, out, print_json

app = typer.Typer(help="A Redis of your own.", no_args_is_help=True, rich_markup_mode=None)

_PASSWORD_BYTES = 32


@app.callback()
def main() -> None:
    """Keep `acl` a command of its own: Typer would leave out the name of the only one."""


@app.command()
def acl(
    camera: Annotated[
        list[str] | None, typer.Option(help="A camera with a Stream of its own, sentinel:ingest:NAME; may be repeated.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the users that Redis should have, each with its rights, as an ACL file with digests of their passwords.

    Passwords: that of user `sentinel` from SENTINEL_REDIS_URL, if it names that user, or SENTINEL_REDIS_PASSWORD; of
    the others from CAMERA_PASSWORD, TRUTH_PASSWORD, and CAMERA_NAME_PASSWORD for --camera name. One that is not set is
    made, and shown this once, on standard error.
    """
    settings = get_settings()
    users = [
        sentinel_user(_of_url(settings).get("db", 0)),
        CAMERA,
        TRUTH,
        *(camera_user(name) for name in camera or []),
    ]
    _require_apart(users)
    given = {user.name: _given_password(user, settings) for user in users}
    made = {name: secrets.token_urlsafe(_PASSWORD_BYTES) for name, password in given.items() if not password}
    lines = [NOBODY, *(user.line(given[user.name] or made[user.name]) for user in users)]
    if as_json:
        print_json(json.dumps({"acl": lines, "passwords": made}))
        return
    for line in lines:
        out.print(line)
    for name, password in made.items():
        err.print(f"password of {name}, shown this once: {password}")


def _given_password(user: RedisUser, settings: Settings) -> str | None:
    if user.name == sentinel_user().name:
        url = _of_url(settings)
        # Whoever else the URL names, an administrator perhaps, has a password that is not Sentinel's.
        return url.get("password") if url.get("username") == user.name else None if url else settings.redis_password
    return os.environ.get(_variable(user))


def _variable(user: RedisUser) -> str:
    """Return the variable that a user's password is read from."""
    return f"{user.name.upper().replace('-', '_')}_PASSWORD"


def _of_url(settings: Settings) -> dict[str, Any]:
    """Return what SENTINEL_REDIS_URL says, as redis-py reads it."""
    return dict(redis.connection.parse_url(settings.redis_url)) if settings.redis_url else {}  # type: ignore[no-untyped-call]


def _require_apart(users: list[RedisUser]) -> None:
    """Raise `SettingsError` for a camera that is named twice, and for two whose passwords one variable would name."""
    variables = [_variable(user) for user in users]
    for user, variable in zip(users, variables, strict=True):
        if variables.count(variable) > 1:
            raise SettingsError(
                f"--camera {user.name.removeprefix('camera-')} is named twice, or its password and that of another "
                f"would both be read from {variable}: give them names that differ by more than capitals, - and _"
            )
