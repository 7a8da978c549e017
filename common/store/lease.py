"""Leases: work that only one process at a time may do, and that another takes over if it is killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event as Flag
from threading import Thread

import redis
from redis.exceptions import LockNotOwnedError
from redis.lock import Lock

_LEASE_SECONDS = 20.0
_RENEW_SECONDS = 5.0  # three renewals may fail before the lease expires


@contextmanager
def hold_lease(client: redis.Redis, key: str) -> Iterator[bool]:
    """Hold the lease `key` while the block runs; yields False if another process holds it.

    The lease is renewed in a thread. If the process is killed, it expires after `_LEASE_SECONDS`.
    """
    # Another thread renews the lock, so its token must not be thread-local.
    lock = client.lock(key, timeout=_LEASE_SECONDS, blocking=False, thread_local=False)
    if not lock.acquire():
        yield False
        return
    done = Flag()
    renewal = Thread(target=_renew, args=(lock, done), name=f"lease-{key}", daemon=True)
    renewal.start()
    try:
        yield True
    finally:
        done.set()
        renewal.join()
        with suppress(LockNotOwnedError):  # it expired while Redis was unavailable, and another may hold it
            lock.release()


def _renew(lock: Lock, done: Flag) -> None:
    while not done.wait(_RENEW_SECONDS):
        try:
            lock.reacquire()
        except redis.RedisError:
            continue  # the next renewal may succeed; what is done under a lease is a compare-and-set in any case
