"""The front door's memory when each message is of another domain: the real door in this process, its log swallows."""

import gc
import uuid
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final

from bench.door_in_process import DOMAIN, OneKey, Swallowing, a_door, exchange, post
from bench.fuzz import resident_mib, statuses
from shared.envelope import seal
from shared.generation import Generation
from shared.keys import SigningKey

_FIRST: Final = 1000


async def many_domains(count: int) -> dict[str, Any]:
    """Return resident MiB after the first thousand sender domains and after ``count``, all accepted."""
    key = SigningKey.generate("pw1")
    server = a_door(OneKey(lambda: key.record), Swallowing())
    seen, before = Counter[int](), 0.0
    for number in range(count):
        message = seal(
            generation=Generation.NLWEB,
            sender=f"shop{number}.example",
            receiver=DOMAIN,
            subject="VerifyLocator@Identity",
            body={"Locator": "locator-1"},
            correlation=str(uuid.uuid4()),
            timestamp=datetime.now(UTC),
            key=key,
        )
        seen.update(statuses(await exchange(server, [post(message)])))
        if number == min(count, _FIRST) - 1:
            gc.collect()
            before = resident_mib()
    gc.collect()
    return {"domains": count, "before_mib": round(before, 1), "after_mib": round(resident_mib(), 1),
            "answers": dict(seen)}  # fmt: skip
