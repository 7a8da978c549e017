"""A queue of notifications of object storage: Amazon's SQS, or what speaks its protocol.

The client is botocore, which s3fs needs anyway. It takes credentials from the environment or its own files; no message
here quotes what it says, which may show them.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from common.errors import SettingsError, StorageUnavailable
from common.sources.objects.storage import reason_of

_WAIT_SECONDS = 10  # that one request waits for messages; each costs money
_CONNECT_SECONDS, _READ_SECONDS = 4, 2 * _WAIT_SECONDS
_MESSAGES = 10  # per request, the most there may be
_AWS = ("sqs", "amazonaws")  # parts of https://sqs.REGION.amazonaws.com/ACCOUNT/NAME


@dataclass(frozen=True)
class QueuedMessage:
    """One message, and by what the queue is told to forget it."""

    body: str
    receipt: str


class EventQueue:
    """The queue at `url`.

    Parameters
    ----------
    region : for the signature; None: that in the host's name, or what the provider's own configuration says

    Errors of its methods are `StorageUnavailable`, if it does not answer, or not to these credentials, and
    `SettingsError`, if it cannot be asked as things are.
    """

    def __init__(self, url: str, region: str | None) -> None:
        self.url = url
        self._region = region or region_of(url)

    def receive(self) -> list[QueuedMessage]:
        """Return some messages, waiting for them up to ten seconds. What is not deleted comes again."""
        with self._translated():
            answer = self._client.receive_message(
                QueueUrl=self.url, MaxNumberOfMessages=_MESSAGES, WaitTimeSeconds=_WAIT_SECONDS
            )
        return [QueuedMessage(row["Body"], row["ReceiptHandle"]) for row in answer.get("Messages", [])]

    def delete(self, message: QueuedMessage) -> None:
        """Let the queue forget a message."""
        with self._translated():
            self._client.delete_message(QueueUrl=self.url, ReceiptHandle=message.receipt)

    @cached_property
    def _client(self) -> Any:
        try:
            botocore = importlib.import_module("botocore.session")
            config = importlib.import_module("botocore.config")
        except ImportError as error:
            raise SettingsError(
                "SENTINEL_OBJECT_EVENTS_QUEUE needs s3fs, which is not installed: pip install -e '.[s3]' in Sentinel's "
                "folder"
            ) from error
        parts = urlsplit(self.url)
        return botocore.Session().create_client(
            "sqs",
            region_name=self._region,
            endpoint_url=f"{parts.scheme}://{parts.netloc}",
            config=config.Config(
                connect_timeout=_CONNECT_SECONDS, read_timeout=_READ_SECONDS, retries={"max_attempts": 0}
            ),
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (SettingsError, MemoryError):
            raise
        except Exception as error:  # of botocore and of what it uses, which have no base in common
            if type(error).__name__ == "NoRegionError":
                raise SettingsError("SENTINEL_OBJECT_REGION is not set: say in which region the queue is") from None
            raise StorageUnavailable(
                f"the queue {self.url} does not answer as it should ({reason_of(error)}): see that it is there, and "
                "that this process has credentials that may receive and delete its messages"
            ) from None


def region_of(url: str) -> str | None:
    """Return the region in the address of a queue of Amazon's; None in any other.

    Examples
    --------
    >>> region_of("https://sqs.eu-west-1.amazonaws.com/123456789012/cameras")
    'eu-west-1'
    >>> region_of("http://127.0.0.1:9324/123456789012/cameras")
    """
    first, _, rest = (urlsplit(url).hostname or "").partition(".")
    region, _, provider = rest.partition(".")
    return region if (first, provider.partition(".")[0]) == _AWS else None
