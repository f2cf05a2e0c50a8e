"""Dynamic updates of TXT records in the world folder: RFC 2136 with TSIG, as a primary server takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.tsigkeyring
import dns.update
import orjson

from emulators.world import write_fields

if TYPE_CHECKING:
    from pathlib import Path

    from emulators.world import DomainRecord, World

_HEADER_BYTES = 12
_OPCODE_SHIFT = 3


class _RefusedError(Exception):
    """Raised when an update is not made; `rcode` says why."""

    def __init__(self, rcode: dns.rcode.Rcode) -> None:
        super().__init__(dns.rcode.to_text(rcode))
        self.rcode = rcode


def is_update(wire: bytes) -> bool:
    """Whether a message is an update by its header alone."""
    return len(wire) >= _HEADER_BYTES and (wire[2] >> _OPCODE_SHIFT) & 0xF == dns.opcode.UPDATE


class DynamicUpdates:
    """Changes the TXT records below a domain of the folder, for whoever has the TSIG key (`name:base64`)."""

    def __init__(self, folder: Path, world: World, key: str) -> None:
        self._folder = folder
        self._world = world
        name, _, secret = key.partition(":")
        self._keyring = dns.tsigkeyring.from_text({name: ("hmac-sha256.", secret)})

    def answer(self, wire: bytes) -> dns.message.Message:
        """The answer to one update, which is made whole or not at all."""
        try:
            update = dns.message.from_wire(wire, keyring=self._keyring)
        except (dns.message.UnknownTSIGKey, dns.tsig.BadSignature, dns.tsig.BadKey, dns.tsig.BadTime):
            return _unsigned(wire, dns.rcode.NOTAUTH)
        except dns.exception.DNSException:
            return _unsigned(wire, dns.rcode.FORMERR)
        if not isinstance(update, dns.update.UpdateMessage) or not update.had_tsig:
            return _unsigned(wire, dns.rcode.REFUSED)
        reply = dns.message.make_response(update)
        try:
            self._make(update)
        except _RefusedError as refused:
            reply.set_rcode(refused.rcode)
        return reply

    def _make(self, update: dns.update.UpdateMessage) -> None:
        apex = update.zone[0].name
        domain = self._world.domain(apex.to_text(omit_final_dot=True))
        if domain is None:
            raise _RefusedError(dns.rcode.NOTAUTH)
        txt = {**_of_keys(domain), **domain.txt}
        for rrset in update.prerequisite:
            _require(txt, _relative(rrset, apex), rrset)
        for rrset in update.update:
            _change(txt, _relative(rrset, apex), rrset)
        path = self._folder / f"{domain.name}.json"
        fields: dict[str, Any] = orjson.loads(path.read_bytes())
        write_fields(self._folder, domain.name, fields | {"keys": {}, "txt": txt})


def _of_keys(domain: DomainRecord) -> dict[str, str]:
    return {
        f"{selector}.{branch}": text
        for branch in ("_domainkey", "_domainkey.pw")
        for selector, text in domain.keys.items()
    }


def _relative(rrset: dns.rrset.RRset, apex: dns.name.Name) -> str:
    if not rrset.name.is_subdomain(apex):
        raise _RefusedError(dns.rcode.NOTZONE)
    if rrset.rdtype != dns.rdatatype.TXT:
        raise _RefusedError(dns.rcode.REFUSED)  # this folder has no other records to change
    return rrset.name.relativize(apex).to_text().lower()


def _text(rrset: dns.rrset.RRset) -> str:
    return b"".join(rrset[0].strings).decode("ascii")


def _require(txt: dict[str, str], name: str, rrset: dns.rrset.RRset) -> None:
    """RFC 2136 §2.4: the RRset is absent (class NONE), present (ANY), or present with this value."""
    if rrset.deleting == dns.rdataclass.NONE:
        if name in txt:
            raise _RefusedError(dns.rcode.YXRRSET)
    elif name not in txt or (rrset.deleting is None and txt[name] != _text(rrset)):
        raise _RefusedError(dns.rcode.NXRRSET)


def _change(txt: dict[str, str], name: str, rrset: dns.rrset.RRset) -> None:
    """RFC 2136 §2.5: delete an RRset (class ANY) or one record (NONE), or add one."""
    if rrset.deleting is None:
        txt[name] = _text(rrset)
    elif rrset.deleting == dns.rdataclass.ANY or txt.get(name) == _text(rrset):
        txt.pop(name, None)


def _unsigned(wire: bytes, rcode: dns.rcode.Rcode) -> dns.message.Message:
    reply = dns.message.Message(id=int.from_bytes(wire[:2], "big"))
    reply.flags = dns.flags.QR
    reply.set_opcode(dns.opcode.UPDATE)
    reply.set_rcode(rcode)
    return reply
