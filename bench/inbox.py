"""The front door's own CPU a message and its latency, beside the least that a server can do, in the same run.

    python -m bench.inbox                     embedded broker; Ed25519 and RSA-2048, three runs of each
    python -m bench.inbox --kafka HOST:PORT   a Kafka that has the topics
    python -m bench.inbox --junk              what junk costs, and what it does to good messages
    python -m bench.inbox --domains 100000    memory under so many sender domains

The front door is a process of its own, as the inbox has it (``bench.inbox_door``), and so are the limit script
(``bench.inbox_limit``), the broker, and the load, which is this process: signed beforehand, in an open loop. CPU is the
process's own user and system time, so it holds on a machine that has other work; latency does not.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

import uvloop
from cryptography.hazmat.primitives.asymmetric import rsa

from bench.door_in_process import DOMAIN, post
from bench.inbox_domains import many_domains
from bench.inbox_junk import JUNK
from bench.inbox_load import Heard, OpenLoop, Request
from bench.load import percentile
from cli.embedded_topics import make_topics
from shared.envelope import seal
from shared.generation import Generation
from shared.keys import SigningKey

_SIGNED: Final = 500  # messages made beforehand; the door remembers none, so they may come again
_SLICES: Final = 4  # of each run, door and limit script in turn: what else the machine does meets both
_AS_FAST_AS_IT_GOES: Final = 1e9
_JUNK_ADDRESS: Final = b"203.0.113.9"
_GOOD_SENDERS: Final = 20
# The most that a piece of a flood may cost before its signature is checked, and that good messages' p95 may grow by.
_JUNK_MICROSECONDS: Final = 100
_JUNK_RATIO: Final = 2.0


class Server:
    """A process under measurement."""

    def __init__(self, pid: int, address: str) -> None:
        self.pid = pid
        self.address = address

    def cpu_seconds(self) -> float:
        """Return the user and system time that its threads have used, to the nanosecond."""
        return (
            sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{self.pid}/task").glob("*/schedstat")) / 1e9
        )


@contextmanager
def started(module: str, *arguments: str) -> Iterator[Server]:
    """Run ``python -m module`` until it is left; it says where it listens as the last word of its first line."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            line = process.stdout.readline().split() if process.stdout else []
            if not line:
                log.seek(0)
                raise RuntimeError(f"{module} does not start: {log.read().decode()[-500:]}")
            yield Server(process.pid, line[-1])
        finally:
            process.terminate()
            process.wait(20)


def signed_messages(key: SigningKey, count: int = _SIGNED, sender: str = "shop.example") -> list[bytes]:
    """Return messages as the first step of a verification sends them."""
    return [
        seal(
            generation=Generation.NLWEB,
            sender=sender,
            receiver=DOMAIN,
            subject="VerifyLocator@Identity",
            body={"Locator": f"locator-{number:08d}", "Purpose": "Opening an account at Example Bank"},
            correlation=str(uuid.uuid4()),
            timestamp=datetime.now(UTC),
            key=key,
        )
        for number in range(count)
    ]


def keys() -> dict[str, SigningKey]:
    """Return a key of each kind."""
    slow = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return {"Ed25519": SigningKey.generate("pw1"), "RSA-2048": SigningKey("pw1", slow)}


def ask(server: Server, requests: Sequence[Request], rate: float, count: int) -> tuple[Heard, float]:
    """Return what came back of ``count`` requests, and the microseconds of the server's CPU for each."""
    before = server.cpu_seconds()
    heard = uvloop.run(OpenLoop(server.address).run(requests, rate, count))
    return heard, (server.cpu_seconds() - before) / count * 1e6


def accepted(heard: Heard, count: int) -> None:
    """Check that all was accepted. Raises RuntimeError: figures of refusals say nothing."""
    if heard.statuses != {("good", 200): count} or heard.lost:
        raise RuntimeError(f"not all accepted: {dict(heard.statuses)}, {heard.lost} lost")


def compare(kafka: str, key: SigningKey, options: argparse.Namespace) -> dict[str, Any]:
    """Return the door's and the limit's CPU a message (median of the runs), and the door's p95 at half its load."""
    requests = [Request(post(message)) for message in signed_messages(key)]
    found: dict[str, list[float]] = {"inbox_door": [], "inbox_limit": []}
    p95s = []
    each = options.count // _SLICES
    for _ in range(options.runs):
        with (
            started("bench.inbox_door", kafka, key.record) as door,
            started("bench.inbox_limit", kafka, key.record) as limit,
        ):
            servers = {"inbox_door": door, "inbox_limit": limit}
            for server in servers.values():
                accepted(ask(server, requests, options.rate, options.warm)[0], options.warm)
            slices: dict[str, list[float]] = {name: [] for name in servers}
            for _ in range(_SLICES):
                for name, server in servers.items():
                    heard, microseconds = ask(server, requests, options.rate, each)
                    accepted(heard, each)
                    slices[name].append(microseconds)
            for name, figures in slices.items():
                found[name].append(sum(figures) / _SLICES)
            heard, _ = ask(door, requests, 0.5e6 / found["inbox_door"][-1], options.count)
            accepted(heard, options.count)
            p95s.append(percentile(heard.latencies["good"], 0.95) * 1000)
    return {
        "door_microseconds": round(median(found["inbox_door"])),
        "limit_microseconds": round(median(found["inbox_limit"])),
        "door_runs": [round(value) for value in found["inbox_door"]],
        "limit_runs": [round(value) for value in found["inbox_limit"]],
        "ratio": round(median(limit / door for door, limit in zip(*found.values(), strict=True)), 2),
        "a_second_and_core": round(1e6 / median(found["inbox_door"])),
        "p95_milliseconds_at_half_load": [round(value, 1) for value in p95s],
    }


def junk(kafka: str, key: SigningKey, options: argparse.Namespace) -> dict[str, Any]:
    """Return what each kind of junk costs, at ``--rate`` and as fast as 64 connections go.

    Beside what is changed, whose hash is wrong, stands the limit script's cost of saying so.
    """
    messages = signed_messages(key)
    good = [Request(post(message)) for message in messages]
    figures: dict[str, Any] = {}
    with (
        started("bench.inbox_door", kafka, key.record) as server,
        started("bench.inbox_limit", kafka, key.record) as bare,
    ):
        ask(server, good, options.rate, options.warm)
        ask(bare, good, options.rate, options.warm)
        for name, make in JUNK.items():
            requests = [Request(post(make(message)), name) for message in messages]
            heard, microseconds = ask(server, requests, options.rate, options.count)
            _, flood = ask(server, requests, _AS_FAST_AS_IT_GOES, options.count)
            statuses = sorted({status for _, status in heard.statuses})
            figures[name] = {"microseconds": round(microseconds), "flood": round(flood), "statuses": statuses}
            if name == "changed":
                for word, rate in (("limit_microseconds", options.rate), ("limit_flood", _AS_FAST_AS_IT_GOES)):
                    figures[name][word] = round(ask(bare, requests, rate, options.count)[1])
    return figures


def beside_junk(kafka: str, key: SigningKey, options: argparse.Namespace) -> dict[str, Any]:
    """Return good messages' p95 alone, and with as many of junk beside them from an address at twice its limit.

    The limits are the settings' defaults: 200 requests a second for an address, 100 for a sender. The good ones come
    from twenty senders at an address each; a trusted proxy says so.
    """
    rate = 400.0
    good: list[Request] = []
    bad: list[Request] = []
    kinds = list(JUNK.values())
    for number in range(_GOOD_SENDERS):
        address = b"X-Forwarded-For: 192.0.2.%d" % number
        for message in signed_messages(key, _SIGNED // _GOOD_SENDERS, f"shop-{number}.example"):
            good.append(Request(post(message, address)))
            junk = kinds[len(bad) % len(kinds)](message)
            bad.append(Request(post(junk, b"X-Forwarded-For: " + _JUNK_ADDRESS), "junk"))
    each = len(good) // _GOOD_SENDERS
    good = [good[place] for first in range(each) for place in range(first, len(good), each)]  # senders in turn
    mixed = [request for pair in zip(good, bad, strict=True) for request in pair]
    p95s: dict[str, list[float]] = {"alone": [], "beside_junk": []}
    statuses: dict[str, int] = {}
    with started("bench.inbox_door", kafka, key.record, "limits") as server:
        ask(server, good, rate, options.warm)
        for _ in range(options.runs):
            quiet, _ = ask(server, good, rate, options.count)
            noisy, _ = ask(server, mixed, 2 * rate, 2 * options.count)
            accepted(quiet, options.count)
            p95s["alone"].append(percentile(quiet.latencies["good"], 0.95) * 1000)
            p95s["beside_junk"].append(percentile(noisy.latencies["good"], 0.95) * 1000)
            for (kind, status), times in noisy.statuses.items():
                statuses[f"{kind} {status}"] = statuses.get(f"{kind} {status}", 0) + times
    return {
        **{f"p95_milliseconds_{name}": [round(value, 1) for value in values] for name, values in p95s.items()},
        "ratio": round(median(noisy / quiet for quiet, noisy in zip(*p95s.values(), strict=True)), 2),
        "answers": statuses,
    }


def main() -> int:
    """Run the benchmark; exit code 1 when the door or its junk costs more than the gates allow."""
    parser = argparse.ArgumentParser(
        prog="bench.inbox", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=1500.0, help="messages a second while CPU is measured")
    parser.add_argument("--count", type=int, default=6000, help="messages in each run")
    parser.add_argument("--warm", type=int, default=1000, help="messages before each run that are not counted")
    parser.add_argument("--kafka", help="host:port of a Kafka that has the topics; the embedded broker when left out")
    parser.add_argument("--gate", type=float, default=0.75, help="least ratio of the limit's CPU to the door's")
    parser.add_argument("--junk", action="store_true", help="measure junk instead")
    parser.add_argument("--domains", type=int, help="measure the memory under so many sender domains instead")
    options = parser.parse_args()
    if options.domains is not None:
        print(json.dumps(uvloop.run(many_domains(options.domains))))
        return 0
    if options.kafka is not None:
        return _run(options.kafka, options)
    with started("emulators.kafka") as broker:
        asyncio.run(make_topics(broker.address))
        return _run(broker.address, options)


def _run(kafka: str, options: argparse.Namespace) -> int:
    if options.junk:
        key = SigningKey.generate("pw1")
        each, beside = junk(kafka, key, options), beside_junk(kafka, key, options)
        print(json.dumps({"each": each, "beside": beside}, indent=1))
        before_proof = [figure["flood"] for name, figure in each.items() if name != "signature forged"]
        return 0 if max(before_proof) < _JUNK_MICROSECONDS and beside["ratio"] <= _JUNK_RATIO else 1
    figures = {name: compare(kafka, key, options) for name, key in keys().items()}
    print(json.dumps(figures, indent=1))
    return 0 if all(figure["ratio"] >= options.gate for figure in figures.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
