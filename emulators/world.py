"""The world folder: the emulated internet as files, one `world/<domain>.json` for each domain.

    {"secure": true, "keys": {"<selector>": "<contents of the TXT record>"}, "inbox": "http://127.0.0.1:9000/inbox"}

`secure` says whether the domain is signed with DNSSEC. `"txt": {"<relative name>": "<contents>"}` are TXT records by
themselves; they win over those that `keys` makes in both branches. For tests, also `"ttl": 60` (seconds) and
`"dns": {"servfail": true, "bogus": true, "delay_seconds": 0.5}`. A file is read again when it changes.
"""

from __future__ import annotations

import re
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from emulators import json_fields
from emulators.envelopes import PrivateKey, public_key_txt
from emulators.json_fields import FieldError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_TTL_SECONDS = 60
RSA_BITS = 2048

_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_DOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")
_SELECTOR_NUMBER = re.compile(r"pw([1-9][0-9]{0,8})")


class WorldError(ValueError):
    """Raised when a domain cannot be written into the world folder."""


@dataclass(frozen=True, slots=True)
class DomainRecord:
    """What the emulated internet knows about one domain."""

    name: str
    keys: Mapping[str, str] = field(default_factory=dict)
    txt: Mapping[str, str] = field(default_factory=dict)
    inbox: str | None = None
    secure: bool = True
    ttl_seconds: int = DEFAULT_TTL_SECONDS
    servfail: bool = False
    bogus: bool = False
    delay_seconds: float = 0.0


def _report(problem: str) -> None:
    sys.stderr.write(f"world: {problem}\n")


class World:
    """Reading side of the folder; each file is parsed once for each of its versions."""

    def __init__(self, folder: Path, report: Callable[[str], None] = _report) -> None:
        self._folder = folder
        self._report = report
        self._read: dict[str, tuple[tuple[int, int], DomainRecord | None]] = {}

    def domain(self, name: str) -> DomainRecord | None:
        """The domain `name` (any case); None if its file is absent or malformed."""
        name = name.lower()
        if not _DOMAIN.fullmatch(name):
            return None
        path = self._folder / f"{name}.json"
        try:
            facts = path.stat()
            stamp = (facts.st_mtime_ns, facts.st_size)
            if (known := self._read.get(name)) is not None and known[0] == stamp:
                return known[1]
            content = path.read_bytes()
        except OSError:
            self._read.pop(name, None)
            return None
        record: DomainRecord | None = None
        try:
            record = parse_domain(name, content)
        except FieldError as error:
            self._report(f"{path.name} is ignored: {error}")
        self._read[name] = (stamp, record)
        return record

    def enclosing(self, name: str) -> DomainRecord | None:
        """The domain that `name` is or lies under; the longest that exists."""
        labels = name.lower().rstrip(".").split(".")
        for start in range(len(labels)):
            record = self.domain(".".join(labels[start:]))
            if record is not None:
                return record
        return None


def parse_domain(name: str, content: bytes) -> DomainRecord:
    """The contents of a domain's file; raises FieldError."""
    fields = json_fields.read_object(content)
    keys = json_fields.mapping(fields, "keys", {})
    for selector, txt in keys.items():
        if not isinstance(txt, str) or not txt.isascii():
            raise FieldError(f"keys.{selector}: the contents of a TXT record, in ASCII, are expected")
        if not _DOMAIN.fullmatch(selector.lower()):
            raise FieldError(f"keys.{selector}: not a selector")
    txt = json_fields.mapping(fields, "txt", {})
    for relative, content_of_txt in txt.items():
        if not isinstance(content_of_txt, str) or not content_of_txt.isascii():
            raise FieldError(f"txt.{relative}: the contents of a TXT record, in ASCII, are expected")
        if not _DOMAIN.fullmatch(relative.lower()):
            raise FieldError(f"txt.{relative}: not a name")
    behaviour = json_fields.mapping(fields, "dns", {})
    return DomainRecord(
        name=name,
        keys={selector.lower(): txt for selector, txt in keys.items()},
        txt={relative.lower(): text for relative, text in txt.items()},
        inbox=json_fields.text(fields, "inbox", None),
        secure=json_fields.flag(fields, "secure", default=False),
        ttl_seconds=json_fields.whole(fields, "ttl", DEFAULT_TTL_SECONDS, most=(1 << 31) - 1),
        servfail=json_fields.flag(behaviour, "servfail", default=False),
        bogus=json_fields.flag(behaviour, "bogus", default=False),
        delay_seconds=json_fields.number(behaviour, "delay_seconds", 0.0, most=60.0),
    )


def write_domain(
    folder: Path, domain: str, keys: Mapping[str, str], inbox: str | None = None, *, secure: bool = True
) -> None:
    """Make `domain` exist."""
    name = domain.lower()
    if not _DOMAIN.fullmatch(name):
        raise WorldError(f"{domain!r} is no domain name")
    folder.mkdir(parents=True, exist_ok=True)
    write_fields(folder, name, {"secure": secure, "keys": dict(keys)} | ({"inbox": inbox} if inbox else {}))


def write_fields(folder: Path, name: str, fields: Mapping[str, object]) -> None:
    """Write a domain's whole file, in one step: no reader ever sees half of it."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{name}.", delete=False) as draft:
        draft.write(orjson.dumps(fields, option=orjson.OPT_INDENT_2))
    Path(draft.name).chmod(0o644)  # temporary files are private, but a container reads it as another user
    Path(draft.name).replace(folder / f"{name}.json")


def make_key(kind: str = "ed25519") -> PrivateKey:
    """A new private key, `ed25519` or `rsa` (2048 bits)."""
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    raise WorldError(f"{kind!r} is neither ed25519 nor rsa")


def publish_key(folder: Path, domain: str, key: PrivateKey, inbox: str | None) -> str:
    """Publish the public half of `key` and return its selector: `pw1`, or the next number if the domain has keys.

    Numbers never vanish and are never used for another key: clients of PollyWeb probe pw1, pw2, … without a gap.
    """
    known = World(folder).domain(domain)
    keys = dict(known.keys) if known else {}
    numbers = [int(match[1]) for name in keys if (match := _SELECTOR_NUMBER.fullmatch(name))]
    selector = f"pw{max(numbers, default=0) + 1}"
    write_domain(folder, domain, keys | {selector: public_key_txt(key)}, inbox, secure=known.secure if known else True)
    return selector
