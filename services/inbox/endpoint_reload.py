"""The endpoint map as it is now: read again when its file changes or on SIGHUP; a broken one keeps the one before."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

from prometheus_client import Counter, Gauge

from services.inbox.endpoint_map import EndpointMap, Route, read_endpoint_map
from shared.errors import ConfigurationError

log = logging.getLogger(__name__)

LOADED: Final = Gauge("facescan_endpoint_map_loaded", "1 for the digest of the endpoint map in use.", ["digest"])
READ: Final = Counter("facescan_endpoint_map_read_total", "Readings of the endpoint map's file.", ["outcome"])
READ.labels("refused")  # there before the first, so that an alert sees it rise

DEFAULT_FILE: Final = Path(__file__).with_name("endpoints.toml")
_LOOK_SECONDS: Final = 2.0

_Stamp = tuple[int, int, int]


class CurrentMap:
    """The map in use. ``changed`` is called with each new one, the first included once watching begins."""

    def __init__(self, path: Path, *, look_seconds: float = _LOOK_SECONDS) -> None:
        """Read the file. Raises ConfigurationError."""
        self._path = path
        self._look_seconds = look_seconds
        self._stamp = _stamp(path)
        self._tasks: list[asyncio.Task[None]] = []
        self._changed: list[Callable[[EndpointMap], None]] = []
        self._sighup = asyncio.Event()
        self.map = read_endpoint_map(path)
        self._note(self.map, None)

    def find(self, subject: str) -> Route | None:
        """See EndpointMap."""
        return self.map.find(subject)

    def on_change(self, changed: Callable[[EndpointMap], None]) -> None:
        """Call ``changed`` with the map when watching begins, and with every later one."""
        self._changed.append(changed)

    async def start(self) -> None:
        """Begin to watch the file."""
        for changed in self._changed:
            changed(self.map)
        # Not in a thread, or where there are no signals.
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._sighup.set)
        self._tasks.append(asyncio.create_task(self._watch(), name="endpoint map"))

    async def stop(self) -> None:
        """Watch no more."""
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._sighup.wait(), self._look_seconds)
            asked = self._sighup.is_set()
            self._sighup.clear()
            stamp = _stamp(self._path)
            if asked or stamp != self._stamp:
                self._stamp = stamp
                self.read_again()

    def read_again(self) -> bool:
        """Read the file now; returns whether it is in use. A broken one is logged and counted, and changes nothing."""
        try:
            new = read_endpoint_map(self._path)
        except ConfigurationError as error:
            READ.labels("refused").inc()
            extra = {"why": str(error), "digest": self.map.digest}
            log.error("endpoint map refused, the one before stays", extra=extra)  # noqa: TRY400 - a mistake in a file
            return False
        old, self.map = self.map, new
        self._note(new, old)
        for changed in self._changed:
            changed(new)
        return True

    @staticmethod
    def _note(new: EndpointMap, old: EndpointMap | None) -> None:
        READ.labels("loaded").inc()
        if old is not None and old.digest != new.digest:
            LOADED.remove(old.digest)
        LOADED.labels(new.digest).set(1)
        log.info("endpoint map in use", extra={"digest": new.digest, "endpoints": sorted(new.endpoints)})


def _stamp(path: Path) -> _Stamp | None:
    """Return what changes with the file: time, size, inode (a mounted ConfigMap is another file); None without one."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
