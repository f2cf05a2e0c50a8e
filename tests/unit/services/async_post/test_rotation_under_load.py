"""Rotation after rotation while messages are signed, and receivers that remember DNS for as long as it says.

``ROTATIONS`` and ``ROTATION_SECONDS`` make it longer.
"""

import os
from pathlib import Path

from emulators.world import write_fields
from services.async_post.dynamic_update import DynamicUpdate
from services.async_post.timing import Timing
from tests.support.emulated_aws import Emulated
from tests.support.rotating import Zone, rotate_under_load
from tests.unit.emulators.processes import running

ROTATIONS = int(os.environ.get("ROTATIONS", "1"))
SECONDS = float(os.environ.get("ROTATION_SECONDS", "2"))  # and 5 s more, the emulated zones' negative time to live
TSIG = "ZmFjZXNjYW4tZmFjZXNjYW4tZmFjZXNjYW4tMTIzNDU="
DOMAIN = "id.example"


async def test_no_signature_is_refused_by_receivers_with_caches_while_keys_rotate_under_load(
    emulated: Emulated, tmp_path: Path
) -> None:
    with running("emulators.dns", "--world", str(tmp_path), "--update-key", f"us:{TSIG}") as (_, address):
        write_fields(tmp_path, DOMAIN, {"secure": True, "keys": {}, "ttl": 2})
        zone = Zone(DOMAIN, DynamicUpdate(address, "us", TSIG, ttl_seconds=2, timeout_seconds=2), address)
        timing = Timing(rotate_seconds=SECONDS, settle_seconds=1, keep_seconds=5)
        receivers = await rotate_under_load(emulated.aws, zone, timing, ROTATIONS)
    assert [one.refused for one in receivers] == [[]] * len(receivers)
    assert all(one.verified > 20 for one in receivers)
