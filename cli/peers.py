"""The other side of every message: sample Domains and Wallets as a process, and how to tell them what to do."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from cli.ports import free_ports
from cli.supervisor import Child, Supervisor
from cli.system_file import System
from cli.workbench_environment import HOST, base_environment
from shared.errors import UnavailableError

SHOP: Final = "shop.example"
WALLET: Final = "wallet.example"
_START_SECONDS: Final = 30.0
_TIMEOUT_SECONDS: Final = 660.0
# What the peers take as wait_seconds.
_MOST_WAIT_SECONDS: Final = 600.0


def start_peers(
    processes: Supervisor,
    system: System,
    *,
    domains: Sequence[str] = (SHOP,),
    wallets: Sequence[str] = (WALLET,),
    rsa_domains: Sequence[str] = (),
) -> str:
    """Start the peers of a running system and return their base URL. Raises UnavailableError."""
    (port,) = free_ports(1)
    arguments = ["--world", system.world, "--dns", system.dns, "--port", str(port), "--aws", system.aws]
    for option, names in (("--domain", domains), ("--wallet", wallets), ("--rsa-domain", rsa_domains)):
        arguments += [part for name in names for part in (option, name)]
    log = Path(system.log_dir) / "peers.log"
    processes.start(Child("peers", "emulators.peers", arguments, base_environment(), log))
    processes.wait_for_line("peers", f"ready on http://{HOST}:{port}", _START_SECONDS)
    return f"http://{HOST}:{port}"


class Peers:
    """Orders to the peers at a base URL (see ``emulators.peers``). All methods raise UnavailableError."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask(self, domain: str, order: dict[str, Any]) -> dict[str, Any]:
        """Let a domain send a request; return {correlation, sent_at, answers: [{status, body, seconds}]}."""
        answer: dict[str, Any] = await self._call("POST", f"/{domain}/ask", order)
        return answer

    async def answer(self, domain: str, correlation: str, wait_seconds: float) -> dict[str, Any] | None:
        """Return the verified answer that a domain got, or None when none came in that time."""
        answer: dict[str, Any] | None = None
        while answer is None and wait_seconds >= 0:
            now_seconds = min(wait_seconds, _MOST_WAIT_SECONDS)
            path = f"/{domain}/answer/{correlation}?wait_seconds={now_seconds:.1f}"
            answer = await self._call("GET", path, none_for=404)
            wait_seconds -= max(now_seconds, 1.0)
        return answer

    async def messages(self, peer: str) -> list[dict[str, Any]]:
        """Return all that came to a peer's inbox, oldest first."""
        messages: list[dict[str, Any]] = await self._call("GET", f"/{peer}/messages")
        return messages

    async def popups(self, wallet: str) -> list[dict[str, Any]]:
        """Return the story of each pop-up of a wallet."""
        popups: list[dict[str, Any]] = await self._call("GET", f"/{wallet}/popups")
        return popups

    async def behave(self, wallet: str, order: dict[str, Any]) -> None:
        """Order what a person does when a pop-up opens."""
        await self._call("POST", f"/{wallet}/behave", order)

    async def respond(self, peer: str, order: dict[str, Any]) -> None:
        """Order how a peer's inbox answers the next messages: {status, count, delay_seconds}."""
        await self._call("POST", f"/{peer}/respond", order)

    async def _call(self, method: str, path: str, order: Any = None, *, none_for: int | None = None) -> Any:
        if self._session is None:
            raise RuntimeError("use it as an asynchronous context manager")
        try:
            async with self._session.request(method, self._url + path, json=order) as response:
                if response.status == none_for:
                    return None
                if response.status != 200:  # noqa: PLR2004 - HTTP's OK
                    text = (await response.text())[:300]
                    raise UnavailableError(f"the peers at {self._url} answered {response.status} to {path}: {text}")
                return await response.json()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise UnavailableError(f"the peers at {self._url} do not answer: {reason}") from error
