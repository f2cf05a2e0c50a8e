"""The page's program has unit tests of its own, run by Node where it is."""

import shutil
import subprocess

from tests.support.kafka_fixtures import leave_untested
from tests.support.service_process import ROOT

FRONTEND = ROOT / "services/session/frontend"


def test_the_program_s_own_tests_pass() -> None:
    npm = shutil.which("npm")
    if npm is None or not (FRONTEND / "node_modules").is_dir():
        leave_untested("the scan page's program", "make page needs Node 18.19 or newer with npm")
    result = subprocess.run([npm, "test"], cwd=FRONTEND, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout[-3000:]
    assert " passed" in result.stdout
