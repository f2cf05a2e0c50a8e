"""Apache Kafka from Maven Central's jars, run by the Java that is there.

The jars are fetched once into the user's cache. A node's process is killed by the kernel when the process that started
it ends, however it ends; the data of a run that could not clean up is removed by the next run.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from tests.support.kafka_node import FRUGAL, VERSION, KafkaNotObtainableError, KafkaNotReadyError, last_lines

FETCH_SECONDS = 240
FORMAT_SECONDS = 60
DATA_PREFIX = "facescan-kafka-"
LOCK_NAME = "lock"

POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.24.3</version>
    </dependency>
  </dependencies>
</project>
"""

LOGGING = """\
<Configuration>
  <Appenders><Console name="console"><PatternLayout pattern="%d %p %c{1} %m%n"/></Console></Appenders>
  <Loggers><Root level="WARN"><AppenderRef ref="console"/></Root></Loggers>
</Configuration>
"""

DIE_WITH_STARTER = """\
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the starting process is gone")
os.execvp(sys.argv[2], sys.argv[2:])
"""

# The kernel's "parent" is the *thread* that starts a process. This one lives as long as the interpreter, whereas a
# node may well be started from the short-lived thread of an asyncio.to_thread.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kafka-starter")


def cache_folder() -> Path:
    """Returns where the jars are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "facescan" / "kafka" / VERSION


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def fetch() -> Path:
    """Returns the folder of the jars, after fetching them if need be; runs at once wait for each other."""
    folder = cache_folder()
    complete = folder / "complete"
    if complete.exists():
        return folder
    with _locked(folder.with_name(f"{VERSION}.lock")):
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            _copy_dependencies(folder)
            (folder / "log4j2.xml").write_text(LOGGING)
            complete.touch()
    return folder


def _copy_dependencies(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaNotObtainableError(f"Kafka's jars are not in {folder}, and Maven (mvn) is not installed")
    with tempfile.TemporaryDirectory() as project:
        (Path(project) / "pom.xml").write_text(POM)
        command = [maven, "-q", "-B", "dependency:copy-dependencies"]
        command += ["-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
        try:
            done = subprocess.run(
                command, cwd=project, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise KafkaNotObtainableError(
                f"Maven did not fetch Kafka's jars within {FETCH_SECONDS} s (run again to go on)"
            ) from None
    if done.returncode:
        raise KafkaNotObtainableError(f"Maven cannot fetch Kafka's jars:\n{last_lines(done.stdout + done.stderr)}")


class DataFolder:
    """A temporary folder that is held locked while its process lives, so that others can tell when it is left over."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=DATA_PREFIX))
        being_made = self.path / "lock.new"
        self._lock: IO[bytes] = being_made.open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        being_made.rename(self.path / LOCK_NAME)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()

    @staticmethod
    def sweep() -> None:
        """Removes what runs that were killed have left."""
        for lock in Path(tempfile.gettempdir()).glob(f"{DATA_PREFIX}*/{LOCK_NAME}"):
            with contextlib.suppress(OSError), lock.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)


class JavaNode:
    """One Kafka process on its own data."""

    def __init__(self, home: Path, settings: Mapping[str, str], heap: Sequence[str], cluster_id: str) -> None:
        self._home = home
        self._properties = home / "server.properties"
        self._log = home / "log"
        self._heap = list(heap)
        self._cluster_id = cluster_id
        self._process: subprocess.Popen[bytes] | None = None
        home.mkdir(parents=True)
        lines = {**settings, "log.dirs": str(home / "data")}.items()
        self._properties.write_text("".join(f"{key}={value}\n" for key, value in lines))

    def _java(self, main_class: str, *arguments: str, options: Sequence[str] = ()) -> list[str]:
        jars = cache_folder()
        logging = f"-Dlog4j2.configurationFile={jars / 'log4j2.xml'}"
        return ["java", *FRUGAL, *options, logging, "-cp", f"{jars}/*", main_class, *arguments]

    def format(self) -> None:
        """Makes the data folder, once, before the first start."""
        arguments = ("format", "-t", self._cluster_id, "-c", str(self._properties))
        command = self._java("kafka.tools.StorageTool", *arguments)
        done = subprocess.run(command, capture_output=True, text=True, timeout=FORMAT_SECONDS, check=False)
        if done.returncode:
            raise KafkaNotReadyError(f"Kafka cannot format its data:\n{last_lines(done.stdout + done.stderr)}")

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        if not self.alive:
            self._process = _starter.submit(self._start).result()

    def _start(self) -> subprocess.Popen[bytes]:
        command = self._java("kafka.Kafka", str(self._properties), options=self._heap)
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-IS", "-c", DIE_WITH_STARTER, str(os.getpid()), *command],
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # the terminal's Ctrl-C is for the tests, which then end their brokers
            )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def remove(self) -> None:
        self.kill()

    def log_tail(self) -> str:
        return last_lines(self._log.read_text(errors="replace")) if self._log.exists() else ""


def make_nodes(
    home: Path, settings: Sequence[Mapping[str, str]], heap: Sequence[str], cluster_id: str
) -> list[JavaNode]:
    """Returns nodes with formatted data, one for each of ``settings``, not yet started."""
    fetch()
    nodes = [JavaNode(home / str(number), own, heap, cluster_id) for number, own in enumerate(settings)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(JavaNode.format, nodes))
    return nodes
