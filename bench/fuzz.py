"""Fuzz the front door: bodies, headers, envelopes and key records, thrown at the real door inside this process.

Nothing may crash, no answer may be a 5xx, every answer must be well framed, and memory must stay where it was.
A failure prints the case's bytes; ``--seed`` makes a run like the one before, with new keys and times.
"""

import contextlib
import logging
import random
import re
import resource
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import click
import orjson
import uvloop
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from bench.door_in_process import DOMAIN, OneKey, Swallowing, a_door, exchange, post, record_of
from emulators.envelopes import Generation, PrivateKey, sign
from shared.clock import now_utc
from shared.events import utc_text
from shared.keys import KeyRecordError, key_record, parse_key_record

_TOKENS = (
    b"{", b"}", b"[", b"]", b'"', b"\\", b"\\u0000", b"\\ud800", b"1e999", b"-0.0", b"NaN", b"null", b"9" * 400,
    b"\x00", b"\xff", b"\xf0\x9f\xa4\x9d", b",", b":", b'"Header":{}', b"true", b"\r\n", b"\r\n\r\n", b" ", b"[" * 40,
    b"{\"a\":" * 20,
)  # fmt: skip
_HEADERS = (
    b"Transfer-Encoding: chunked", b"Content-Length: 5", b"Content-Length: -1", b"Expect: 100-continue", b"Expect: x",
    b"Connection: close", b"Connection: keep-alive, upgrade", b"Upgrade: h2c", b"X-Forwarded-For: 1.2.3.4, ::1, x",
    b"Host: other", b"Content-Encoding: gzip", b"X: " + b"y" * 3000, b": empty", b"Bad Name: 1", b" folded", b"X:\x00",
    b"Transfer-Encoding: gzip, chunked", b"Content-Type: text/plain", b"TE: trailers",
)  # fmt: skip
_VALUES: tuple[object, ...] = (
    None,
    True,
    0,
    -1,
    2**70,
    1.5,
    "",
    "x",
    "\u0000",
    "é" * 50,
    [],
    {},
    [[]],
    {"a": {"b": []}},
    "A" * 300,
)
_ANSWER = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n")
_LENGTH = re.compile(rb"(?i)content-length: (\d+)\r\n")
_GROWTH_MIB = 8.0


class Cases:
    """Makes requests, most of them nearly right."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - chance to be repeated, no secret
        self.ed25519 = ed25519.Ed25519PrivateKey.generate()
        keys: list[PrivateKey] = [self.ed25519, rsa.generate_private_key(65537, 2048)]
        self.records = [record_of(self.ed25519), key_record(keys[1].public_key())]
        self.messages = [self._message(key, generation) for key in keys for generation in Generation for _ in range(8)]

    def _message(self, key: PrivateKey, generation: Generation) -> bytes:
        header = {
            "From": "shop.example", "To": DOMAIN, "Correlation": str(uuid4()), "Timestamp": utc_text(now_utc()),
            "Subject": "VerifyLocator@Identity",
        }  # fmt: skip
        return orjson.dumps(sign(header, {"Locator": "loc-1", "Purpose": "open"}, key, "pw1", generation))

    def record(self) -> str:
        """Return a key record, most often a good one."""
        text = self.random.choice(self.records)
        if self.random.random() < 0.8:
            return text
        return self._broken(text.encode()).decode("utf-8", "replace")

    def body(self) -> bytes:
        """Return a body: a message, one with another member, or one with other bytes."""
        data, kind = self.random.choice(self.messages), self.random.random()
        if kind < 0.1:
            return data
        if kind < 0.5:
            return self._other_member(data)
        if kind < 0.55:
            return self.random.randbytes(self.random.randrange(300))
        return self._broken(data)

    def _other_member(self, data: bytes) -> bytes:
        document = orjson.loads(data)
        part = document[self.random.choice(("Header", "Body"))] if self.random.random() < 0.6 else document
        name = self.random.choice(list(part))
        if self.random.random() < 0.2:
            del part[name]
        else:
            part[name] = self.random.choice(_VALUES)
        try:
            return orjson.dumps(document)
        except orjson.JSONEncodeError:  # the integer that is too large for it
            return repr(document).replace("'", '"').encode("utf-8", "replace")

    def _broken(self, data: bytes) -> bytes:
        broken = bytearray(data)
        for _ in range(self.random.randrange(1, 4)):
            at, kind = self.random.randrange(len(broken) + 1), self.random.randrange(5)
            if kind == 0 and at < len(broken):
                broken[at] ^= 1 << self.random.randrange(8)
            elif kind == 1:
                del broken[at : at + self.random.randrange(1, 30)]
            elif kind == 2:
                broken[at:at] = broken[at : at + self.random.randrange(1, 60)]
            elif kind == 3:
                broken[at:at] = self.random.choice(_TOKENS)
            elif at < len(broken):
                broken[at] = self.random.randrange(256)
        return bytes(broken)

    def parts(self) -> Iterator[bytes]:
        """Return the bytes of one connection, in the pieces in which they come."""
        wire = b"".join(self._request() for _ in range(self.random.choice((1, 1, 1, 1, 2, 3, 30))))
        if self.random.random() < 0.7:
            yield wire
            return
        while wire:
            cut = self.random.randrange(1, len(wire) + 1)
            yield wire[:cut]
            wire = wire[cut:]

    def _request(self) -> bytes:
        body, kind = self.body(), self.random.random()
        if kind < 0.6:
            return post(body)
        if kind < 0.7:
            size = self.random.randrange(1, 400)
            chunks = [body[at : at + size] for at in range(0, len(body), size)]
            framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
            head = b"POST /inbox HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            return head + (framed if self.random.random() < 0.7 else self._broken(framed))
        if kind < 0.85:
            headers = self.random.choices(_HEADERS, k=self.random.randrange(1, 4))
            return post(body, *headers)
        return self._broken(post(body)[:200]) + body


def statuses(answers: bytes) -> list[int]:
    """Return the status of each answer in what the door wrote. Raises ValueError when it is badly framed."""
    found, at = [], 0
    while at < len(answers):
        match = _ANSWER.match(answers, at)
        if match is None:
            raise ValueError(f"no answer at byte {at}: {answers[at : at + 60]!r}")
        status = int(match[1])
        length = _LENGTH.search(match[2])
        if length is None and status != 100:
            raise ValueError("an answer without a length")
        at = match.end() + (int(length[1]) if length else 0)
        found.append(status)
    if at != len(answers):
        raise ValueError("the last answer is shorter than it says")
    return found


def resident_mib() -> float:
    """Return this process's resident memory in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


async def fuzz(*, seed: int, count: int | None, seconds: float | None) -> dict[str, object]:
    """Throw cases until ``count`` or ``seconds`` is reached and return what was seen. Raises AssertionError."""
    cases, publisher, seen = Cases(seed), Swallowing(), Counter[int]()
    server = a_door(OneKey(cases.record, keep_seconds=0.0), publisher, largest_body_bytes=8192, largest_head_bytes=2048)
    began, cpu, done, settled = time.monotonic(), time.process_time(), 0, 0.0
    warm = min(20_000, (count or 100_000) // 5)
    while (count is None or done < count) and (seconds is None or time.monotonic() - began < seconds):
        parts = list(cases.parts())
        try:
            seen.update(statuses(await exchange(server, parts)))
        except Exception as error:
            raise AssertionError(f"case {done} of seed {seed}: {type(error).__name__}: {error}: {parts!r}") from error
        if any(status >= 500 for status in seen):
            raise AssertionError(f"case {done} of seed {seed} was answered 5xx: {parts!r}")
        _read_record(cases)
        done += 1
        if done == warm:
            settled = resident_mib()
    growth = resident_mib() - settled
    if settled and growth > _GROWTH_MIB:
        raise AssertionError(f"memory grew by {growth:.1f} MiB after {warm} cases")
    used = time.process_time() - cpu
    return {"cases": done, "answers": dict(sorted(seen.items())), "accepted": publisher.taken, "seed": seed,
            "grown_mib": round(growth, 1), "cpu_seconds": round(used, 1),
            "cpu_microseconds_each": round(used / max(1, done) * 1e6)}  # fmt: skip


def _read_record(cases: Cases) -> None:
    with contextlib.suppress(KeyRecordError):
        parse_key_record(cases.record() if cases.random.random() < 0.5 else cases.body().decode("latin-1"))


@click.command()
@click.option("--count", type=int, help="So many connections.")
@click.option("--minutes", type=float, help="For so long; without --count, one minute.")
@click.option("--seed", type=int, help="Of an earlier run, to make one like it; keys and times are new.")
def main(count: int | None, minutes: float | None, seed: int | None) -> None:
    """Fuzz the front door until told to end; exit code 1 names a case that it did not stand."""
    logging.disable(logging.CRITICAL)
    seconds = minutes * 60 if minutes is not None else None if count is not None else 60.0
    chosen = seed if seed is not None else random.SystemRandom().randrange(2**32)
    try:
        print(
            orjson.dumps(
                uvloop.run(fuzz(seed=chosen, count=count, seconds=seconds)), option=orjson.OPT_NON_STR_KEYS
            ).decode()
        )
    except AssertionError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
