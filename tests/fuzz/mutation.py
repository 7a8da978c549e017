"""Mutations of what is good, seeded."""

from __future__ import annotations

import random

_NASTY = (
    b"", b"\x00", b"\xff\xfe", b"../../etc/passwd", b"file:///etc/passwd", b"http://127.0.0.1:1/x.jpg", b"%00", b"{}",
    b"[1,2]", b"null", b"-1", b"1e999", b"NaN", "ſtream/é/漢字".encode(), b"a" * 5000, b"/" * 300, b"\n\r\n",
    b"$(reboot)", b"' OR 1=1 --", b"\x80\x04N.", b"file://", b"~/x.jpg", b"/dev/zero", b"/proc/self/mem", b"s3://b/k",
)  # fmt: skip


def mutated_event(good: dict[str, bytes], rng: random.Random) -> dict[str, bytes]:
    """Return `good` with one to three things wrong with it."""
    event = dict(good)
    for _ in range(rng.randint(1, 3)):
        names = list(event)
        action = rng.randrange(6)
        if action == 0 and len(names) > 1:
            del event[rng.choice(names)]
        elif action == 1 and names:
            event[rng.choice(names)] = rng.choice(_NASTY)
        elif action == 2 and names:
            name = rng.choice(names)
            event[name] = mutated_bytes(event[name], rng)
        elif action == 3:
            event[rng.choice(["data", "dataref", "time", "extra", ""]) or "x"] = rng.choice(_NASTY)
        elif action == 4 and names:
            name = rng.choice(names)
            event[name.upper() if rng.random() < 0.5 else name + "x"] = event.pop(name)
        elif names:
            event[rng.choice(names)] = rng.randbytes(rng.randint(0, 200))
    return event or {"nothing": b""}


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    """Return `data` flipped, cut, doubled or filled in a few places, the beginning spared now and then."""
    changed = bytearray(data)
    spared = 64 if rng.random() < 0.5 and len(changed) > 128 else 0
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        if len(changed) <= spared:
            break
        at = rng.randrange(spared, len(changed))
        length = min(rng.choice([1, 1, 4, 32, 256]), len(changed) - at)
        action = rng.randrange(5)
        if action == 0:
            for i in range(at, at + length):
                changed[i] ^= 1 << rng.randrange(8)
        elif action == 1:
            changed[at : at + length] = rng.randbytes(length)
        elif action == 2:
            del changed[at : at + length]
        elif action == 3:
            changed[at:at] = changed[at : at + length]
        else:
            del changed[max(spared, at) :]
    return bytes(changed)
