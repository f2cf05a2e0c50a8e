"""The door asks for the open files that its connections need before it opens."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from services.inbox.open_files import allow_connections
from shared.errors import ConfigurationError
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
try:
    allow_connections(int(sys.argv[3]))
except ConfigurationError as error:
    print(error)
else:
    print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def said(*numbers: int) -> str:
    """Return what a process with these limits (soft, hard) says that is to hold so many connections."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, numbers)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize(("soft", "hard", "left"), [(300, 4096, "2256 4096"), (4000, 4096, "4000 4096")])
def test_the_limit_of_open_files_is_raised_as_far_as_connections_need(soft: int, hard: int, left: str) -> None:
    assert said(soft, hard, 2000) == left


def test_too_few_open_files_for_the_connections_end_the_start_by_one_line_that_names_the_setting() -> None:
    line = said(300, 1024, 2000)
    assert line.startswith("FACESCAN_MOST_CONNECTIONS: 2000 connections need 2256 open files")
    assert "may have 1024" in line
    assert "\n" not in line
