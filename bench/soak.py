"""A soak: mixed traffic for as long as is asked, with kills, rotations, slow receivers and junk.

    make soak MINUTES=60          or: python -m bench.soak --minutes 60 --kafka HOST:PORT --out DIRECTORY

Services are killed in turn in the first half; in the second they live on.

At the end an account (accepted = handled = answered, each once and right), and for each service its memory and file
handles over time, as ``soak.csv`` and ``soak.svg``, with the slope of the memory of a process that lives on.
"""

import argparse
import asyncio
import csv
import itertools
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.load import MIXED, Load
from bench.soak_plot import plot
from bench.soak_samples import Sample, samples_now, slope_mib_per_hour
from cli.demo_system import with_peers
from cli.peers import SHOP, WALLET, Peers
from cli.run import SERVICES
from cli.workbench import Workbench
from shared.errors import UnavailableError
from shared.settings import StoreSettings

PER_SECOND: Final = 1.5
ROUND_SECONDS: Final = 20.0
BETWEEN_TROUBLES_SECONDS: Final = 15.0
SAMPLE_SECONDS: Final = 5.0
_BETWEEN_JUNK_SECONDS: Final = 0.2
# Long enough that nobody's time is over while a part is away; and the few persons who fail do so for the whole time.
SETTINGS: Final = {
    "FACESCAN_VERIFICATION_SECONDS": "120",
    "FACESCAN_KEY_SETTLE_SECONDS": "2",
    "FACESCAN_PERSON_FAILURES": "0",
    "FACESCAN_DEVICE_FAILURES": "0",
    "FACESCAN_LOCK_OUT_FAILURES": "20",
    "FACESCAN_LOCK_OUT_WINDOW_SECONDS": "1",
}


@dataclass
class Account:
    """What happened. ``wrong`` names each verification whose answers are not exactly the one that is right."""

    asked: int = 0
    answered_once: int = 0
    wrong: list[str] = field(default_factory=list)
    asked_again: int = 0
    troubles: Counter[str] = field(default_factory=Counter)
    junk_answers: Counter[int] = field(default_factory=Counter)

    @property
    def balances(self) -> bool:
        """Whether everything that was accepted was answered, once and rightly, and no junk was accepted."""
        return not self.wrong and self.asked == self.answered_once and not self.junk_answers[200]


class Soak:
    """One run on one workbench."""

    def __init__(self, bench: Workbench, peers: Peers, load: Load, seconds: float) -> None:
        self._bench = bench
        self._peers = peers
        self._load = load
        self._until = time.monotonic() + seconds
        self._chance = random.Random(20261123)  # noqa: S311 - a repeatable mix
        self._services = itertools.cycle(SERVICES)
        self.account = Account()
        self.samples: list[Sample] = []

    async def run(self) -> None:
        """Run until the time is over and everything is answered."""
        await self._load.enrol(MIXED)
        beside = [asyncio.create_task(work()) for work in (self._trouble, self._sample)]
        try:
            while time.monotonic() < self._until:
                await self._round()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _round(self) -> None:
        seconds = min(ROUND_SECONDS, max(2.0, self._until - time.monotonic()))
        count = max(1, int(PER_SECOND * seconds))
        verified = await self._load.run(count, PER_SECOND, MIXED, answer_seconds=100, ask_again_seconds=60)
        account = self.account
        account.asked += count
        for one in verified:
            account.asked_again += one.asked - 1
            if one.results == [one.role.expected]:
                account.answered_once += 1
            else:
                account.wrong.append(f"{one.verification_id} ({one.role.name}): {one.results}")

    async def _trouble(self) -> None:
        """One trouble after the other, each kind in turn, while the traffic goes on."""
        began = time.monotonic()
        for kind in itertools.cycle((self._kill, self._junk, self._slow_receivers, self._rotate)):
            await asyncio.sleep(BETWEEN_TROUBLES_SECONDS)
            left = self._until - time.monotonic()
            if left < BETWEEN_TROUBLES_SECONDS:
                return
            if kind == self._kill and left < time.monotonic() - began:
                continue  # in the second half processes live on, and their memory is looked at
            with suppress(UnavailableError):  # a service that is just coming back cannot be killed again
                await kind()
                self.account.troubles[kind.__name__.strip("_")] += 1

    async def _kill(self) -> None:
        service = next(self._services)
        self._bench.kill(service)
        self.account.troubles[f"kill {service}"] += 1

    async def _slow_receivers(self) -> None:
        for peer, answer in ((SHOP, {"status": 503}), (WALLET, {"status": 200, "delay_seconds": 3})):
            await self._peers.respond(peer, {**answer, "count": 3})

    async def _rotate(self) -> None:
        command = [sys.executable, "-m", "cli.main", "keys", "rotate", "--no-wait"]
        # The workbench's folder is where a command finds it.
        done = await asyncio.to_thread(
            subprocess.run, command, cwd=self._bench.directory.parent, capture_output=True, check=False, timeout=60
        )
        if done.returncode:
            self.account.troubles["rotation refused"] += 1

    async def _junk(self) -> None:
        inbox = self._bench.system.inbox
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            for _ in range(50):
                body = self._chance.choice(
                    (b"", b"{", b"[]", self._chance.randbytes(200), json.dumps(self._forged()).encode())
                )
                with suppress(aiohttp.ClientError, TimeoutError):
                    async with session.post(inbox, data=body) as answer:
                        self.account.junk_answers[answer.status] += 1
                await asyncio.sleep(_BETWEEN_JUNK_SECONDS)  # the door may have been killed just before

    def _forged(self) -> dict[str, Any]:
        header = {
            "From": SHOP,
            "To": self._bench.system.domain,
            "Correlation": "125a5c75-cb72-43d2-9695-37026dfcaa48",
            "Timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
            "Subject": "VerifyLocator@Identity",
            "DKIM": "pw1",
        }
        return {
            "🤝": "nlweb.org/MSG:1.0",
            "Header": header,
            "Body": {"Locator": "x"},
            "Hash": "0" * 64,
            "Signature": "AAAA",
        }

    async def _sample(self) -> None:
        began = time.monotonic()
        while True:
            self.samples += samples_now(time.monotonic() - began, self._bench.system.pids)
            await asyncio.sleep(SAMPLE_SECONDS)


def report(soak: Soak, folder: Path) -> dict[str, Any]:
    """Write what was sampled and return the account."""
    with (folder / "soak.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["seconds", "service", "pid", "resident_mib", "handles"])
        writer.writeheader()
        writer.writerows(asdict(sample) for sample in soak.samples)
    (folder / "soak.svg").write_text(plot(soak.samples))
    account = soak.account
    return {
        "balances": account.balances,
        "asked": account.asked,
        "answered_once_and_right": account.answered_once,
        "wrong": account.wrong,
        "asked_again_after_5xx": account.asked_again,
        "troubles": dict(account.troubles),
        "junk_answers": {str(status): count for status, count in sorted(account.junk_answers.items())},
        "memory_mib_per_hour": {name: slope_mib_per_hour(soak.samples, name) for name in SERVICES},
        "most_handles": {
            name: max((one.handles for one in soak.samples if one.service == name), default=0) for name in SERVICES
        },
        "files": [str(folder / name) for name in ("soak.csv", "soak.svg")],
    }


def main() -> None:
    """Run, print the account as JSON, and end with 1 when it does not balance."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--kafka", help="host:port of a real broker; without it the embedded one")
    parser.add_argument("--out", type=Path, help="where soak.csv and soak.svg go; without it a temporary folder")
    options = parser.parse_args()
    folder = options.out or Path(tempfile.mkdtemp(prefix="facescan-soak-"))
    folder.mkdir(parents=True, exist_ok=True)

    async def run(bench: Workbench, peers_url: str, load_system: Any) -> Soak:
        async with Peers(peers_url) as peers:
            soak = Soak(bench, peers, Load(load_system, peers), options.minutes * 60)
            await soak.run()
            return soak

    with ExitStack() as parts:
        directory = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="facescan-soak-"))) / ".facescan"
        directory.mkdir()
        bench = parts.enter_context(Workbench(directory, kafka=options.kafka, settings=SETTINGS))
        system = with_peers(bench.system, StoreSettings(), parts)
        soak = asyncio.run(run(bench, system.peers, system))
        account = report(soak, folder)
    print(json.dumps(account, indent=2))
    sys.exit(0 if account["balances"] else 1)


if __name__ == "__main__":
    main()
