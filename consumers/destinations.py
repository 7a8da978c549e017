"""Where alerts go: services that Apprise reaches, signed webhooks, and a workflow on GitHub, the red phone."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import logging
import os
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from common.contracts.alerts import Alert, AlertChange
from common.errors import DestinationRefused, SettingsError
from common.printable import printable
from common.settings import Settings

log = logging.getLogger(__name__)

SIGNATURE, TIMESTAMP, IDENTITY = "X-Sentinel-Signature", "X-Sentinel-Timestamp", "Idempotency-Key"
"""Headers of a webhook: `sha256=` and the HMAC of timestamp, full stop and body; the time, seconds; the alert's id."""

GITHUB_EVENT = "sentinel-incident"
"""The type of the event that the red phone sends; the workflow under deploy/github/ waits for it."""
GITHUB_WORKFLOW = "retrain.yml"
"""That workflow's file, which `gh` starts by its name."""

_SECONDS = 15.0  # for an answer
_GH_SECONDS = 30.0  # it asks twice: for the workflow, and to start it
_TOLD_WORKFLOWS = ("id", "incident", "stream", "model", "cause", "link")
_REPOSITORY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*/[A-Za-z0-9_.][A-Za-z0-9_.-]*")
_GITHUB_API = "api.github.com"
_MOST_SAID = 300  # characters of an error
_MOST_LISTED = 20  # incidents in a digest


class Destination(ABC):
    """One place that is told of incidents.

    Attributes
    ----------
    title : what it is called in logs; it shows no secret
    """

    def __init__(self, title: str) -> None:
        self.title = title

    def wants(self, change: AlertChange, *, trains: bool) -> bool:
        """Return whether it is told of such a change."""
        return True

    def groups(self, alerts: Sequence[Alert], *, digest_from: int) -> list[list[Alert]]:
        """Return which alerts are one message: each by itself, or if there are `digest_from` or more, all of them."""
        return [list(alerts)] if len(alerts) >= digest_from else [[alert] for alert in alerts]

    @abstractmethod
    def send(self, alerts: Sequence[Alert], picture: bytes | None) -> None:
        """Send one message; raise `DestinationRefused` if it is not taken.

        Parameters
        ----------
        alerts : at least one; several are a digest
        picture : JPEG of what the camera saw; None: there is none
        """


class Service(Destination):
    """Whatever Apprise reaches by a URL: mail, chat, push, SMS."""

    def __init__(self, url: str) -> None:
        import apprise

        self._service = apprise.Apprise()
        logging.getLogger("apprise").setLevel(logging.CRITICAL)  # what it logs shows addresses, with secrets in them
        if not self._service.add(url):
            raise SettingsError(
                f"SENTINEL_ALERT_URLS: {_scheme(url)}://… is no URL that Apprise knows: "
                "its documentation lists them, like mailtos://user:password@host or ntfy://topic"
            )
        super().__init__(_scheme(url))

    def send(self, alerts: Sequence[Alert], picture: bytes | None) -> None:
        import apprise

        title, body = _message(alerts)
        began = any(alert.change is AlertChange.BEGAN for alert in alerts)
        with TemporaryDirectory() as folder:
            attached = None
            if picture is not None:
                attached = str(Path(folder) / "latest.jpg")
                Path(attached).write_bytes(picture)
            taken = self._service.notify(
                body,
                title=title,
                notify_type=apprise.NotifyType.WARNING if began else apprise.NotifyType.SUCCESS,
                body_format=apprise.NotifyFormat.TEXT,
                attach=attached,
            )
        if not taken:
            raise DestinationRefused("it did not take the message")


class Webhook(Destination):
    """An address that is sent JSON, signed if there is a secret. Each alert is a request of its own."""

    def __init__(self, url: str, secret: str | None) -> None:
        _require_http(url, "SENTINEL_ALERT_WEBHOOKS")
        super().__init__(f"webhook {urlsplit(url).hostname}")
        self._url = url
        self._secret = secret

    def groups(self, alerts: Sequence[Alert], *, digest_from: int) -> list[list[Alert]]:
        return [[alert] for alert in alerts]

    def send(self, alerts: Sequence[Alert], picture: bytes | None) -> None:
        (alert,) = alerts
        body = json.dumps(alert.model_dump(mode="json", exclude={"open_to", "attempts", "format"})).encode()
        headers = {"Content-Type": "application/json", IDENTITY: alert.id}
        if self._secret:
            at = str(int(time.time()))
            headers |= {TIMESTAMP: at, SIGNATURE: signature(self._secret, at, body)}
        post(self._url, body, headers)


class RedPhone(Destination):
    """A workflow on GitHub, once for each incident whose cause the policy trains on."""

    def __init__(self, repository: str) -> None:
        if not _REPOSITORY.fullmatch(repository):
            raise SettingsError(f"SENTINEL_GITHUB_REPOSITORY is {repository!r}: write owner/name")
        super().__init__(f"workflow of {repository}")

    def wants(self, change: AlertChange, *, trains: bool) -> bool:
        return change is AlertChange.BEGAN and trains

    def groups(self, alerts: Sequence[Alert], *, digest_from: int) -> list[list[Alert]]:
        return [[alert] for alert in alerts]

    def send(self, alerts: Sequence[Alert], picture: bytes | None) -> None:
        (alert,) = alerts
        self._start({name: str(getattr(alert, name)) for name in _TOLD_WORKFLOWS})

    @abstractmethod
    def _start(self, about: dict[str, str]) -> None:
        """Start the workflow with what it is told; raise `DestinationRefused` if it is not started."""


class DispatchedWorkflow(RedPhone):
    """Started by GitHub's API, as `repository_dispatch`."""

    def __init__(self, api: str, repository: str, token: str) -> None:
        super().__init__(repository)
        self._url = f"{api.rstrip('/')}/repos/{repository}/dispatches"
        if not (token.isascii() and token.isprintable() and " " not in token):
            raise SettingsError("SENTINEL_GITHUB_TOKEN has blanks or signs that no token has")
        self._token = token

    def _start(self, about: dict[str, str]) -> None:
        body = json.dumps({"event_type": GITHUB_EVENT, "client_payload": about}).encode()
        post(
            self._url,
            body,
            {
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
                "User-Agent": "sentinel",
            },
        )


class WorkflowByGh(RedPhone):
    """Started by GitHub's command line, as whoever is logged in there, as `workflow_dispatch`.

    Parameters
    ----------
    program : path of `gh`
    api : of GitHub; where it is another host than github.com, `gh` is told so
    """

    def __init__(self, program: str, api: str, repository: str) -> None:
        super().__init__(repository)
        host = urlsplit(api).hostname or ""
        self._repository = repository if host == _GITHUB_API else f"{host}/{repository}"
        self._program = program

    def _start(self, about: dict[str, str]) -> None:
        # As raw fields: in others a value that begins with @ names a file, which would be sent.
        fields = [word for name, value in about.items() for word in ("--raw-field", f"{name}={printable(value)}")]
        command = [self._program, "workflow", "run", GITHUB_WORKFLOW, "--repo", self._repository, *fields]
        own = {name: value for name, value in os.environ.items() if not name.startswith("SENTINEL_")}
        try:
            done = subprocess.run(
                command,
                env={**own, "GH_PROMPT_DISABLED": "1", "GH_NO_UPDATE_NOTIFIER": "1", "NO_COLOR": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=_GH_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DestinationRefused(f"gh has not started it in {_GH_SECONDS:g} s") from error
        except OSError as error:
            raise DestinationRefused(f"gh cannot be run: {error.strerror}") from error
        if done.returncode:
            said = printable(done.stderr.decode(errors="replace").strip())[:_MOST_SAID]
            raise DestinationRefused(f"gh ends with {done.returncode}: {said}")


def destinations_of(settings: Settings) -> dict[str, Destination]:
    """Return the destinations that are set, by an id that shows nothing of their addresses.

    Raises
    ------
    SettingsError
        If one is no address.
    """
    found: dict[str, Destination] = {}
    for url in settings.alert_urls:
        found[_identity("service", url)] = Service(url)
    for url in settings.alert_webhooks:
        found[_identity("webhook", url)] = Webhook(url, settings.alert_secret)
    if settings.github_repository:
        found[_identity("github", settings.github_repository)] = _red_phone(settings)
    return found


def _red_phone(settings: Settings) -> RedPhone:
    _require_http(settings.github_api, "SENTINEL_GITHUB_API")
    api, repository, token = settings.github_api, settings.github_repository, settings.github_token
    if token:
        return DispatchedWorkflow(api, repository, token.strip())
    program = shutil.which("gh")
    if program is None:
        raise SettingsError(
            "SENTINEL_GITHUB_REPOSITORY is set: set SENTINEL_GITHUB_TOKEN too, or install gh and log in with it"
        )
    return WorkflowByGh(program, api, repository)


def signature(secret: str, at: str, body: bytes) -> str:
    """Return the signature of a webhook's body that was sent at `at`, seconds since the epoch.

    Examples
    --------
    >>> signature("s", "1", b"{}")[:15]
    'sha256=f4dde98c'
    """
    return f"sha256={hmac.new(secret.encode(), f'{at}.'.encode() + body, hashlib.sha256).hexdigest()}"


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A receiver that sends elsewhere is not followed: what is signed for it would reach somebody else."""

    def redirect_request(self, *arguments: object, **named: object) -> None:
        return None


def post(url: str, body: bytes, headers: dict[str, str]) -> None:
    """Send `body`; raise `DestinationRefused` unless the answer is one of success."""
    request = urllib.request.Request(url, body, headers, method="POST")
    try:
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=_SECONDS) as answer:
            answer.read(1)
    except urllib.error.HTTPError as error:
        raise DestinationRefused(f"it answers {error.code}") from error
    except urllib.error.URLError as error:
        raise DestinationRefused(f"it does not answer: {error.reason}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:  # whose text may show the address or a header
        raise DestinationRefused(f"it does not answer as a web server does: {type(error).__name__}") from error


def _message(alerts: Sequence[Alert]) -> tuple[str, str]:
    """Return title and body of a message about one alert, or of a digest."""
    if len(alerts) == 1:
        (alert,) = alerts
        return alert.title, "\n".join(filter(None, (alert.body, alert.link))) or alert.title
    rows = [f"- {alert.title}" for alert in alerts[:_MOST_LISTED]]
    if len(alerts) > _MOST_LISTED:
        rows.append(f"and {len(alerts) - _MOST_LISTED} more")
    return f"{len(alerts)} changes at once", "\n".join(rows)


def _require_http(url: str, setting: str) -> None:
    try:
        parts = urlsplit(url)
        known = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is no number
        known = False
    if not known or not url.isascii() or not url.isprintable() or " " in url:
        raise SettingsError(f"{setting}: {_scheme(url)}://… is no address that begins with http:// or https://")


def _scheme(url: str) -> str:
    return url.partition("://")[0][:20]


def _identity(kind: str, address: str) -> str:
    return hashlib.blake2b(f"{kind} {address}".encode(), digest_size=8).hexdigest()
