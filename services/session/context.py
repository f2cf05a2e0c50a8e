"""What a wallet signs about where and on what the person is: bounded, and made small before anything keeps it.

A device's name becomes a keyed hash, a place is rounded to about a kilometre. Neither the name nor the exact place is
ever stored, logged or published.
"""

import base64
import hashlib
import hmac
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.events import Context

_HASH_BYTES: Final = 18  # a multiple of three: base64 without padding
_DECIMALS: Final = 2


class _Location(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    latitude: float = Field(alias="Latitude", ge=-90, le=90)
    longitude: float = Field(alias="Longitude", ge=-180, le=180)


class Told(BaseModel):
    """The member ``Context`` of ``Prompted@Host``: {Device, Country, Location {Latitude, Longitude}}, each optional."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    device: str | None = Field(default=None, alias="Device", min_length=1, max_length=200, repr=False)
    country: str | None = Field(default=None, alias="Country", pattern=r"^[A-Z]{2}$", repr=False)
    location: _Location | None = Field(default=None, alias="Location", repr=False)


def read_context(value: Any) -> Told | None:
    """Return what the member holds, or None where it is absent or empty. Raises ValueError without repeating any of it.

    Whole numbers are taken for degrees, too; text is not.
    """
    if value is None:
        return None
    try:
        told = Told.model_validate(value, strict=True)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors(include_input=False, include_url=False)[0]["loc"])
        raise ValueError(f"Context.{where}: not as it must be") from None
    return told if told.device or told.country or told.location else None


class Fingerprints:
    """Keyed hashes and rounded places; ``secret`` is one for all replicas of a deployment."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def context(self, told: Told, person: str) -> Context:
        """Return what may be kept of it; the hash of one device is another one for each person."""
        place = told.location
        return Context(
            device=self._hash("person's device", person, told.device) if told.device else None,
            country=told.country,
            latitude=round(place.latitude, _DECIMALS) if place else None,
            longitude=round(place.longitude, _DECIMALS) if place else None,
        )

    def device(self, device: str) -> str:
        """Return what a device's failures are counted by, whoever uses it."""
        return self._hash("device", device)

    def address(self, address: str) -> str:
        """Return what an address's failures are counted by."""
        return self._hash("address", address)

    def person(self, person: str) -> str:
        """Return what a person's failures are counted by."""
        return self._hash("person", person)

    def _hash(self, use: str, *parts: str) -> str:
        text = "\n".join((f"fingerprint {use}", *(part.replace("\n", " ") for part in parts)))
        digest = hmac.new(self._secret, text.encode(), hashlib.sha256).digest()[:_HASH_BYTES]
        return base64.urlsafe_b64encode(digest).decode()
