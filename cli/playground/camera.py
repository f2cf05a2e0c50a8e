"""Who stands before the camera: orders to the stand-in of the liveness provider, by its side doors."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import aiohttp

from shared.errors import UnavailableError

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
STRANGER: Final = "somebody-else"


class Who(StrEnum):
    """Who is seen, whatever a real camera shows: the stand-in recognises nobody."""

    PERSON = "person"
    STRANGER = "stranger"
    SPOOF = "spoof"
    NOBODY = "nobody"


def capture(who: Who, person: str) -> dict[str, Any]:
    """Return the order for what a check makes of ``who`` when ``person`` (an id) is asked for."""
    match who:
        case Who.PERSON:
            return {"person": person, "confidence": 97.0}
        case Who.STRANGER:
            return {"person": STRANGER, "confidence": 96.0}
        case Who.SPOOF:
            # The right face on a screen that is held up: alike, and not alive.
            return {"person": person, "confidence": 11.0}
        case Who.NOBODY:
            return {"person": "nobody", "faces": 0, "confidence": 1.0, "status": "FAILED"}


class Camera:
    """The cameras of one emulated AWS. All methods raise UnavailableError."""

    def __init__(self, aws_url: str, session: aiohttp.ClientSession) -> None:
        self._url = aws_url.rstrip("/")
        self._session = session

    async def set_stage(self, who: Who, person: str) -> None:
        """From now on ``who`` stands before every camera that streams; nobody's face ever fills the oval."""
        await self._order("stage", {**capture(who, person), "fits": who is not Who.NOBODY})

    async def film(self, session_id: str, who: Who, person: str) -> None:
        """Let the provider's session see ``who`` without any video."""
        await self._order("camera", {"session_id": session_id, **capture(who, person)})

    async def _order(self, door: str, order: Mapping[str, Any]) -> None:
        try:
            async with self._session.post(f"{self._url}/_emulator/{door}", json=order, timeout=_TIMEOUT) as answer:
                if answer.status != 200:  # noqa: PLR2004 - HTTP's OK
                    text = (await answer.text())[:200]
                    raise UnavailableError(f"the stand-in's camera answered {answer.status}: {text}")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise UnavailableError(f"the emulated AWS at {self._url} does not answer: {reason}") from error
