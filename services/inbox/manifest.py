"""Our manifest: one file, checked, answered to ``Manifest@Domain`` and at ``GET /manifest`` (protocol §8)."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from services.inbox.endpoint_map import Route
from services.inbox.synchronous import reply_envelope
from shared.domain_names import DomainName
from shared.envelope import Envelope
from shared.errors import ConfigurationError

SCHEMA: Final = "pollyweb.org/MANIFEST:1.0"
_MOST_BYTES: Final = 256 * 1024

Uri = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9+.-]*://[^\s/]+\S*$")]
Section = Annotated[list[dict[str, Any]], Field(default_factory=list)]


class Translation(BaseModel):
    """The domain in another language."""

    model_config = ConfigDict(extra="allow", frozen=True)

    Language: Annotated[str, StringConstraints(min_length=1)]
    Title: str | None = None
    Description: str | None = None
    Emoji: str | None = None


class About(BaseModel):
    """Who the domain is. ``Feedback`` names the buffer domain to which discards are reported."""

    model_config = ConfigDict(extra="allow", frozen=True)

    Domain: DomainName
    Title: str | None = None
    Description: str | None = None
    Language: str = "en-us"
    Emoji: str | None = None
    SmallIcon: Uri | None = None
    BigIcon: Uri | None = None
    Feedback: DomainName | None = None
    Translations: list[Translation] | None = None


class Manifest(BaseModel):
    """A domain's manifest; sections and members that are not named here are kept as they are."""

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True)

    version: Literal["pollyweb.org/MANIFEST:1.0"] = Field(default="pollyweb.org/MANIFEST:1.0", alias="🤝")
    About: About
    Trust: Section
    Code: Section
    Delegate: Section
    Offer: Section
    Chat: Section

    def document(self) -> dict[str, Any]:
        """Return the manifest as it goes over the wire: without what is not set."""
        written = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {name: value for name, value in written.items() if value != []}


def default_manifest(domain: str) -> Manifest:
    """Return what a domain says of itself when it has no file."""
    return Manifest.model_validate({"About": {"Domain": domain}})


def read_manifest(path: Path, domain: str) -> Manifest:
    """Read and check the file (JSON). Raises ConfigurationError: one line with the file, the line or path, and why."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    if len(data) > _MOST_BYTES:
        raise ConfigurationError(f"{path}: more than {_MOST_BYTES} bytes")
    try:
        document = json.loads(data)
    except ValueError as error:
        raise ConfigurationError(f"{path}: no JSON: {error}") from error
    try:
        manifest = Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise ConfigurationError(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}") from None
    if manifest.About.Domain != domain:
        raise ConfigurationError(f"{path}: About.Domain: {manifest.About.Domain!r} is not this domain, {domain!r}")
    return manifest


class OwnManifest:
    """Answers ``Manifest@Domain``, unsigned and to anybody, ; ``page`` is what ``GET /manifest`` gives."""

    def __init__(self, manifest: Manifest, *, domain: str, clock: Callable[[], datetime]) -> None:
        self._document = manifest.document()
        self.page = orjson.dumps(self._document)
        self._domain = domain
        self._clock = clock

    async def reply(self, _route: Route, envelope: Envelope, _message: bytes) -> bytes:
        """Return the synchronous reply. It is the same for all, so nothing is claimed and nothing stored."""
        return reply_envelope(envelope, self._document, domain=self._domain, now=self._clock())
