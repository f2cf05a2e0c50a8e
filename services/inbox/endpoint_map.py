"""The map from subjects to endpoints: one TOML file, checked as a whole before any of it is used (protocol §4)."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from services.inbox.domain import SenderKind
from services.inbox.subjects import TRANSLATIONS
from shared.envelope import Envelope
from shared.errors import ConfigurationError
from shared.keys import sha256_hex

# Answered by the inbox itself, unsigned and from anybody (protocol §8).
MANIFEST_SUBJECT: Final = "Manifest@Domain"
_OWN_TOPICS: Final = "facescan."
_LABEL: Final = r"[A-Za-z][A-Za-z0-9_-]{0,63}"
# A message waits in a topic that is kept for three days; it is given up well before it would vanish there.
_LONGEST_WAIT_SECONDS: Final = 60 * 3600.0


def _http_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"no URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("no URL of the form http(s)://host/path")
    if parts.username or parts.password:
        raise ValueError("a URL with a password in it; name a bearer_file instead")
    if parts.fragment:
        raise ValueError("a URL with a fragment")
    return text


Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
Url = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_http_url)]
Pattern = Annotated[str, StringConstraints(pattern=rf"^(\*|(\*|{_LABEL})@(\*|{_LABEL}))$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class TopicEndpoint(_Part):
    """A Kafka topic: either one of facescan's own events, or the message as it is on a topic of others."""

    kind: Literal["topic"]
    event: str | None = Field(
        default=None,
        description="The type of the event that the message becomes, on that event's own topic.",
        json_schema_extra={"enum": [*sorted(TRANSLATIONS)]},
    )
    topic: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,200}$")] | None = Field(
        default=None, description="A topic of yours, which gets the message byte for byte, as a CloudEvent."
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.event is None) == (self.topic is None):
            raise ValueError("give either event or topic")
        if self.event is not None and self.event not in TRANSLATIONS:
            raise ValueError(f"event: no message becomes {self.event!r}; there are {', '.join(sorted(TRANSLATIONS))}")
        if self.topic is not None and self.topic.startswith(_OWN_TOPICS):
            raise ValueError("topic: facescan's own topics take events: name an event")
        return self


class _Http(_Part):
    url: Url = Field(description="Where messages are posted: http or https, private addresses too.")
    ca_file: Path | None = Field(
        default=None, description="Certificate authorities (PEM) to trust instead of the system's."
    )
    bearer_file: Path | None = Field(
        default=None, description="A file whose contents are sent as `Authorization: Bearer`; read for every request."
    )

    @model_validator(mode="after")
    def _usable_files(self) -> Self:
        for name in ("ca_file", "bearer_file"):
            path: Path | None = getattr(self, name)
            if path is not None and not path.is_file():
                raise ValueError(f"{name}: no file {path}")
        return self


class HttpEndpoint(_Http):
    """An HTTP service that gets each message at least once, with an Idempotency-Key, in order per key."""

    kind: Literal["http"]
    timeout_seconds: float = Field(default=10.0, gt=0, le=60, description="One try: connect, send, whole answer.")
    most_in_flight: int = Field(default=16, ge=1, le=256, description="Requests under way at once, each process.")
    order_by: Annotated[str, StringConstraints(pattern=r"^(sender|none|Body\.[A-Za-z0-9_-]{1,64})$")] = Field(
        default="sender",
        description="Messages with the same key arrive one after the other: the `sender`, a member of the Body "
        "(`Body.Prompt`), or `none` for no order.",
    )
    most_failures: int = Field(
        default=8, ge=1, le=100, description="A message that fails so often while others succeed is put aside."
    )
    give_up_seconds: float = Field(
        default=27 * 3600.0, gt=0, le=_LONGEST_WAIT_SECONDS, description="After this a message is put aside."
    )
    feedback: bool = Field(
        default=True, description="Whether the sender is told when its message is put aside (Feedback@Buffer)."
    )


class SyncEndpoint(_Http):
    """An HTTP handler whose reply goes back in the response to the sender."""

    kind: Literal["sync"]
    deadline_seconds: float = Field(
        default=5.0, gt=0, le=9, description="For the whole call; senders wait ten seconds for their answer."
    )
    most_in_flight: int = Field(
        default=64, ge=1, le=1000, description="Calls under way at once, each process; more are answered 503."
    )
    largest_reply_bytes: int = Field(
        default=65536, ge=64, le=300_000, description="A larger reply is no reply; a stored one must fit an item."
    )


Endpoint = Annotated[TopicEndpoint | HttpEndpoint | SyncEndpoint, Field(discriminator="kind")]


class RouteEntry(_Part):
    """Which messages go to which endpoints."""

    subject: Pattern = Field(description="Method@Role; either side may be `*`; `*` alone is the default.")
    to: Annotated[list[Name], Field(min_length=1, max_length=8)] = Field(description="Endpoints by name; each gets it.")
    priority: int = Field(
        default=0, ge=-1000, le=1000, description="The highest that matches wins, before the more exact subject does."
    )
    senders: Annotated[list[SenderKind], Field(min_length=1)] = Field(
        default=[SenderKind.DOMAIN], description="Who may send these; the keys of wallets are registered beforehand."
    )


class EndpointFile(_Part):
    """The whole file."""

    version: Literal[1]
    endpoints: Annotated[dict[Name, Endpoint], Field(min_length=1, max_length=64)]
    routes: Annotated[list[RouteEntry], Field(min_length=1, max_length=1000)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for index, route in enumerate(self.routes):
            where = f"routes[{index}]"
            for place, name in enumerate(route.to):
                if name not in self.endpoints:
                    raise ValueError(f"{where}.to[{place}]: there is no endpoint {name!r}")
            if len(set(route.to)) < len(route.to):
                raise ValueError(f"{where}.to: an endpoint stands twice")
            if sum(self.endpoints[name].kind == "sync" for name in route.to) > 1:
                raise ValueError(f"{where}.to: a message has one reply, so one endpoint of kind sync")
            if route.subject == MANIFEST_SUBJECT:
                raise ValueError(f"{where}.subject: {MANIFEST_SUBJECT} is answered by the inbox (FACESCAN_MANIFEST)")
        for problem in _clashes(self.routes):
            raise ValueError(problem)
        return self


def _clashes(routes: Sequence[RouteEntry]) -> Iterator[str]:
    """Give the pairs of routes that match a common subject equally well."""
    exact = {route.subject: route.priority for route in routes if "*" not in route.subject}
    for later, route in enumerate(routes):
        for earlier, other in enumerate(routes[:later]):
            if route.priority != other.priority:
                continue
            common = _common(route.subject, other.subject)
            if common is not None and (common == route.subject or exact.get(common, -10_000) < route.priority):
                yield (
                    f"routes[{later}].subject: {route.subject} and {other.subject} (routes[{earlier}]) both match "
                    f"{common}; give one a higher priority"
                )


def _common(first: str, second: str) -> str | None:
    """Return a subject that two equally exact patterns share, or None."""
    if _exactness(first) != _exactness(second):
        return None
    if _parts(first) == _parts(second):
        return first
    (method, role), (other_method, other_role) = _parts(first), _parts(second)
    if method == "*" and other_role == "*":
        return f"{other_method}@{role}"
    if role == "*" and other_method == "*":
        return f"{method}@{other_role}"
    return None


def _parts(pattern: str) -> tuple[str, str]:
    method, _, role = pattern.partition("@")
    return method, role or "*"


def _exactness(pattern: str) -> int:
    return sum(part != "*" for part in _parts(pattern))


@dataclass(frozen=True, slots=True)
class Route:
    """What one subject's messages meet: who may send them, and the endpoints by name."""

    pattern: str
    senders: frozenset[SenderKind]
    endpoints: Mapping[str, TopicEndpoint | HttpEndpoint]
    replies: tuple[str, SyncEndpoint] | None = None
    priority: int = 0

    def check(self, envelope: Envelope) -> None:
        """Check that the message can become what the endpoints want. Raises RefusedError naming the member."""
        for endpoint in self.endpoints.values():
            if isinstance(endpoint, TopicEndpoint) and endpoint.event is not None:
                TRANSLATIONS[endpoint.event].check(envelope)


MANIFEST_ROUTE: Final = Route(MANIFEST_SUBJECT, frozenset(SenderKind), {})


class EndpointMap:
    """The checked file, for look-ups. ``digest`` names its contents."""

    def __init__(self, file: EndpointFile, digest: str) -> None:
        self.endpoints: Mapping[str, TopicEndpoint | HttpEndpoint | SyncEndpoint] = file.endpoints
        self.digest = digest
        self._by_pattern: dict[tuple[str, str], Route] = {}
        # Each message asks twice, nearly always for one of a few subjects; strangers' own are bounded.
        self.find = lru_cache(maxsize=1024)(self._find)
        for entry in sorted(file.routes, key=lambda entry: entry.priority):
            self._by_pattern[_parts(entry.subject)] = self._route(entry)

    def _route(self, entry: RouteEntry) -> Route:
        chosen = {name: self.endpoints[name] for name in entry.to}
        replies = next(((name, end) for name, end in chosen.items() if isinstance(end, SyncEndpoint)), None)
        rest = {name: end for name, end in chosen.items() if not isinstance(end, SyncEndpoint)}
        return Route(entry.subject, frozenset(entry.senders), rest, replies, entry.priority)

    def _find(self, subject: str) -> Route | None:
        """Return where messages with this subject go: the highest priority, then the most exact; None for nowhere."""
        if subject == MANIFEST_SUBJECT:
            return MANIFEST_ROUTE
        method, _, role = subject.partition("@")
        best: Route | None = None
        for pattern in ((method, role), ("*", role), (method, "*"), ("*", "*")):
            route = self._by_pattern.get(pattern)
            if route is not None and (best is None or route.priority > best.priority):
                best = route
        return best


def read_endpoint_map(path: Path) -> EndpointMap:
    """Read and check the file. Raises ConfigurationError: one line with the file, the line or path in it, and why."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    try:
        document = tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: not UTF-8 at byte {error.start}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: no TOML: {error}") from error
    try:
        file = EndpointFile.model_validate(document)
    except ValidationError as error:
        raise ConfigurationError(f"{path}: {_problem(error)}") from None
    return EndpointMap(file, sha256_hex(data)[:12])


def _problem(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "there is no such key"
    elif first["type"] == "string_pattern_mismatch":
        message = f"{first['input']!r:.60} is not of the right form ({_FORMS.get(_last(first['loc']), 'see the docs')})"
    elif first["type"] == "union_tag_invalid":
        message = "kind: there are topic, http and sync"
    elif first["type"] == "union_tag_not_found":
        message = "kind: missing; there are topic, http and sync"
    where = _path(first["loc"])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return (f"{where}: {message}" if where else message) + more


_FORMS: Final = {
    "subject": "Method@Role, *@Role, Method@* or *",
    "[key]": "a to z, 0 to 9 and -, at most 40",
    "order_by": "sender, none or Body.<member>",
    "topic": "letters, digits, ., _ and -",
    "to": "the name of an endpoint",
}


def _last(location: Sequence[Any]) -> str:
    return next((part for part in reversed(location) if isinstance(part, str)), "")


def _path(location: Sequence[Any]) -> str:
    """Return ``("routes", 1, "to")`` as ``routes[1].to``, without the names of the kinds that the checker puts in."""
    text = ""
    for index, part in enumerate(location):
        if isinstance(part, int):
            text += f"[{part}]"
        elif part == "[key]" or (part in ("topic", "http", "sync") and index == 2 and location[0] == "endpoints"):  # noqa: PLR2004 - behind endpoints.<name>
            continue
        else:
            text += f".{part}" if text else part
    return text
