"""``system.json``: where the parts of a running workbench are (architecture, "The workbench")."""

import json
import os
import tempfile
from dataclasses import MISSING, asdict, dataclass, fields, replace
from pathlib import Path
from typing import Final

from shared.errors import ConfigurationError

FILE_NAME: Final = "system.json"
DEFAULT_DIRECTORY: Final = Path(".facescan")


@dataclass(frozen=True, slots=True)
class System:
    """A running system. ``pids``, ``ops`` and ``emulators`` are by name: process ids, base URLs, process ids.

    ``kafka`` is host:port, ``aws`` the endpoint of every AWS client, ``inbox`` the URL to post to, ``session`` the base
    URL of the scan page, ``streaming`` where its video goes (empty: to AWS), ``dns`` address:port, ``world`` and
    ``log_dir`` absolute folders, ``pid`` the process that runs it, ``verification_seconds`` what a person may take,
    ``azure`` the stand-in of Azure's Face resource, ``gateway`` where clients ask over HTTP (empty: none runs).
    """

    kafka: str
    aws: str
    inbox: str
    session: str
    streaming: str
    dns: str
    domain: str
    world: str
    pids: dict[str, int]
    ops: dict[str, str]
    emulators: dict[str, int]
    log_dir: str
    pid: int
    verification_seconds: float
    azure: str = ""
    gateway: str = ""

    def write(self, path: Path) -> None:
        """Write the file in one step: no reader ever sees half of it."""
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as draft:
            json.dump(asdict(self), draft, indent=2)
            draft.write("\n")
        Path(draft.name).replace(path)

    def with_pids(self, pids: dict[str, int]) -> "System":
        """Return the same system after services were started again."""
        return replace(self, pids=pids)


def read_system(path: Path) -> System:
    """Read a system file. Raises ConfigurationError in one line; members that are not known are ignored."""
    try:
        document = json.loads(path.read_text())
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}; a running `facescan up` writes it") from error
    except ValueError as error:
        raise ConfigurationError(f"{path}: no JSON: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path}: no JSON object")
    names = [field.name for field in fields(System)]
    needed = [field.name for field in fields(System) if field.default is MISSING]
    if missing := [name for name in needed if name not in document]:
        raise ConfigurationError(f"{path}: {', '.join(missing)} missing")
    return System(**{name: document[name] for name in names if name in document})


def running_system(directory: Path = DEFAULT_DIRECTORY) -> System | None:
    """Return the system of the workbench that runs in ``directory``, or None; a dead run's file does not count."""
    path = directory / FILE_NAME
    if not path.exists():
        return None
    system = read_system(path)
    return system if is_alive(system.pid) else None


def is_alive(pid: int) -> bool:
    """Whether there is a process with this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
