"""Real DNS servers on the loopback: Debian's unbound, which validates, and knot, which serves zones.

Where one is not installed its tests are skipped, loudly; with ``CI=true`` they fail. Each has a folder, a free port and
a process of its own, and asks nobody outside: unbound refuses every name that a test does not name.
"""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode

from cli.ports import free_ports
from tests.support.kafka_fixtures import leave_untested

_START_SECONDS = 60.0
_TRIES = 5
_PATH = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/bin"


@dataclass(frozen=True)
class Daemon:
    """One running server: where it answers plain DNS, and where TLS if it does."""

    address: str
    process: subprocess.Popen[bytes]
    log: Path
    tls_address: str = ""

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def stop(self) -> None:
        """End it."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait(5)


def program(name: str, package: str) -> str:
    """Return where a program is, or leave the test untested."""
    found = shutil.which(name) or shutil.which(name, path=_PATH)
    if found is None:
        leave_untested(f"real {name}", f"it is not installed: apt-get install {package}")
    return found


@contextmanager
def unbound(
    folder: Path,
    *,
    anchors: Sequence[str],
    zones: Mapping[str, str],
    validates: bool = True,
    tls: tuple[Path, Path] | None = None,
    server: str = "",
    probe: str = "",
) -> Iterator[Daemon]:
    """Run unbound, which trusts ``anchors`` (DS or DNSKEY records) and asks for ``zones`` at their ``address:port``.

    ``tls`` are a certificate's and its key's file: it then serves DNS over TLS too. ``server`` are further lines.
    """
    where = program("unbound", "unbound")
    folder.mkdir(parents=True, exist_ok=True)

    def command(port: int, tls_port: int) -> list[str]:
        (folder / "unbound.conf").write_text(
            _unbound_configuration(folder, port, tls_port, anchors, zones, validates, tls, server)
        )
        return [where, "-d", "-p", "-c", str(folder / "unbound.conf")]

    with _running("unbound", folder, command, probe or next(iter(zones), "example.")) as daemon:
        yield daemon


def _unbound_configuration(
    folder: Path,
    port: int,
    tls_port: int,
    anchors: Sequence[str],
    zones: Mapping[str, str],
    validates: bool,
    tls: tuple[Path, Path] | None,
    server: str,
) -> str:
    lines = [
        "server:",
        f"interface: 127.0.0.1@{port}",
        *(
            (f"interface: 127.0.0.1@{tls_port}", f"tls-port: {tls_port}", f'tls-service-pem: "{tls[0]}"',
             f'tls-service-key: "{tls[1]}"')
            if tls
            else ()
        ),
        f'directory: "{folder}"',
        'username: ""', 'chroot: ""', 'pidfile: ""', 'logfile: ""', "use-syslog: no", "do-daemonize: no",
        "num-threads: 1", "verbosity: 1", "val-log-level: 1", "do-ip6: no",
        "msg-cache-size: 2m", "rrset-cache-size: 2m", "key-cache-size: 1m",
        "do-not-query-localhost: no",
        f'module-config: "{"validator " if validates else ""}iterator"',
        "ede: yes",
        # Nothing beside the test's own names is asked of anybody.
        'local-zone: "." refuse',
        *(f'local-zone: "{zone}" transparent' for zone in zones),
        *(f'trust-anchor: "{anchor}"' for anchor in anchors if validates),
        server,
        "remote-control:", "control-enable: no",
    ]  # fmt: skip
    for zone, address in zones.items():
        at, _, port_text = address.rpartition(":")
        lines += ["stub-zone:", f'name: "{zone}"', f"stub-addr: {at}@{port_text}"]
    return "\n".join(lines) + "\n"


@contextmanager
def knot(folder: Path, configuration: str, *, zone: str) -> Iterator[Daemon]:
    """Run knotd with ``configuration`` below a server section of ours, once it answers for ``zone``."""
    where = program("knotd", "knot")
    (folder / "databases").mkdir(parents=True)

    def command(port: int, _tls_port: int) -> list[str]:
        (folder / "knot.conf").write_text(_KNOT.format(folder=folder, port=port) + configuration)
        return [where, "-c", str(folder / "knot.conf")]

    with _running("knotd", folder, command, zone) as daemon:
        yield daemon


_KNOT = """
server:
    rundir: "{folder}"
    listen: 127.0.0.1@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: "{folder}/databases"
    journal-db-max-size: 16M
    kasp-db-max-size: 16M
    timer-db-max-size: 16M
log:
  - target: stderr
    any: info
"""


@contextmanager
def _running(name: str, folder: Path, command: Callable[[int, int], list[str]], probe: str) -> Iterator[Daemon]:
    """Start it on free ports and wait until it answers; another process may have taken a port meanwhile."""
    said = ""
    for number in range(_TRIES):
        port, tls_port = free_ports(2)
        log = folder / f"{name}.{number}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command(port, tls_port), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        daemon = Daemon(f"127.0.0.1:{port}", process, log, f"127.0.0.1:{tls_port}")
        try:
            if _answers(daemon, probe):
                yield daemon
                return
        finally:
            daemon.stop()
        said = log.read_text()
        if "in use" not in said:
            break
    raise AssertionError(f"{name} does not start: {said[-2000:]}")


def _answers(daemon: Daemon, probe: str) -> bool:
    query, deadline = dns.message.make_query(probe, "SOA"), time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and daemon.process.poll() is None:
        with suppress(dns.exception.DNSException, OSError):
            answer = dns.query.udp(query, "127.0.0.1", port=daemon.port, timeout=0.5)
            # unbound answers what it cannot resolve; knot must have loaded its zone.
            if answer.rcode() == dns.rcode.NOERROR:
                return True
        time.sleep(0.02)
    return False
