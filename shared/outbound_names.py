"""From a host name to judged addresses (rule 11); what comes out of here is connected to, and nobody asks again.

Look-ups run in threads of their own, so that name servers that do not answer keep neither the event loop nor other
work of threads. One look-up a name at a time; answers are remembered for some seconds, within a bound.
"""

import asyncio
import ipaddress
import socket
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from shared.outbound_addresses import AddressRules
from shared.outbound_errors import OutboundError, Trouble

# Names to addresses, as the system says: (host, port) to addresses. Raises OSError.
LookUp = Callable[[str, int], Awaitable[Sequence[str]]]

_REMEMBERED_SECONDS: Final = 30.0
_MOST_REMEMBERED: Final = 10_000
_THREADS: Final = 64
_MOST_ADDRESSES: Final = 8


class SystemLookUp:
    """The system's resolver, in threads that are started as they are needed."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="names")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of ``host``. Raises OSError."""
        find = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, find)
        return [str(entry[4][0]) for entry in found]

    def close(self) -> None:
        """Let the threads end; those that still ask end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class JudgedNames:
    """Looks names up and gives only the addresses that the rules allow."""

    def __init__(self, rules: AddressRules, look_up: LookUp, clock: Callable[[], float] = time.monotonic) -> None:
        self._rules = rules
        self._look_up = look_up
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, Sequence[str]]] = OrderedDict()
        self._asking: dict[str, asyncio.Task[Sequence[str]]] = {}

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses to connect to. Raises OutboundError: no such name, or no address that is allowed."""
        known = self._known.get(host)
        if known is not None and known[0] > self._clock():
            return known[1]
        asking = self._asking.get(host)
        if asking is None:
            asking = self._asking[host] = asyncio.create_task(self._ask(host, port))
            asking.add_done_callback(partial(self._asked, host))
        # Whoever loses patience must not end the look-up of the others.
        return await asyncio.shield(asking)

    def _asked(self, host: str, task: "asyncio.Task[Sequence[str]]") -> None:
        self._asking.pop(host, None)
        if not task.cancelled():
            task.exception()  # looked at, so that a look-up which everybody gave up on is not reported

    async def _ask(self, host: str, port: int) -> Sequence[str]:
        if _is_address(host):
            found: Sequence[str] = [host]
        else:
            try:
                found = await self._look_up(host, port)
            except (OSError, UnicodeError) as error:
                raise OutboundError(Trouble.DNS, f"no address for {host}") from error
        allowed = [address for address in dict.fromkeys(found) if self._rules.allows(address)][:_MOST_ADDRESSES]
        if not allowed:
            raise OutboundError(Trouble.ADDRESS, f"{host} has no address that may be connected to")
        self._known[host] = (self._clock() + _REMEMBERED_SECONDS, allowed)
        self._known.move_to_end(host)
        if len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)
        return allowed

    def forget(self, host: str) -> None:
        """Ask anew next time: what was known did not lead to a connection."""
        self._known.pop(host, None)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
