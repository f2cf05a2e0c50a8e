"""Our records by dynamic update: RFC 2136, authenticated by TSIG (RFC 8945)."""

from typing import Final

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.tsigkeyring
import dns.update
from dns.rdtypes.ANY.TXT import TXT

from services.async_post.records import RecordTakenError, txt_strings
from shared.errors import ConfigurationError, UnavailableError

_CHANGED: Final = frozenset({dns.rcode.YXRRSET, dns.rcode.NXRRSET, dns.rcode.YXDOMAIN, dns.rcode.NXDOMAIN})
_LATER: Final = frozenset({dns.rcode.SERVFAIL})


class DynamicUpdate:
    """See RecordWriter, for the primary at ``server`` (address:port). The zone is the one that the primary names.

    Raises ConfigurationError for a TSIG key that is no base64.
    """

    def __init__(
        self, server: str, key_name: str, key_secret: str, *, ttl_seconds: int, timeout_seconds: float
    ) -> None:
        address, _, port = server.rpartition(":")
        self._address = address.strip("[]")
        self._port = int(port)
        self._ttl_seconds = ttl_seconds
        self._timeout_seconds = timeout_seconds
        try:
            self._keyring = dns.tsigkeyring.from_text({key_name: (dns.tsig.HMAC_SHA256.to_text(), key_secret)})
        except (ValueError, dns.exception.DNSException):
            # Without the error as context: it may hold the key.
            raise ConfigurationError("FACESCAN_RFC2136_KEY_NAME, _SECRET: no name and base64") from None

    async def write(self, name: str, text: str, *, instead_of: str | None = None) -> None:
        """See RecordWriter."""
        owner = dns.name.from_text(name)
        wanted = _rdata(text)
        there = await self._there(owner)
        if there == {wanted}:
            return
        zone = await self._zone(owner)
        update = dns.update.UpdateMessage(zone, keyring=self._keyring)
        # The server looks once more at the same moment (RFC 2136 §2.4), so no other change can come in between.
        if not there:
            update.absent(owner, dns.rdatatype.TXT)
        elif instead_of is not None and there == {old := _rdata(instead_of)}:
            update.present(owner, old)
            update.delete(owner, dns.rdatatype.TXT)
        else:
            raise RecordTakenError(name)
        update.add(owner, self._ttl_seconds, wanted)
        rcode = (await self._ask(update)).rcode()
        if rcode == dns.rcode.NOERROR:
            return
        answer = dns.rcode.to_text(rcode)
        if rcode in _CHANGED:
            raise UnavailableError(f"{self._where}: {name} was changed by another meanwhile ({answer})")
        if rcode in _LATER:
            raise UnavailableError(f"{self._where} does not update {name} now: {answer}")
        raise ConfigurationError(f"{self._where} refuses to update {name}: {answer}")

    @property
    def _where(self) -> str:
        return f"FACESCAN_RFC2136_SERVER {self._address}:{self._port}"

    async def _there(self, owner: dns.name.Name) -> set[dns.rdata.Rdata]:
        response = await self._ask(dns.message.make_query(owner, dns.rdatatype.TXT))
        if response.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise ConfigurationError(
                f"{self._where} does not answer for {owner}: {dns.rcode.to_text(response.rcode())}"
            )
        return {data for rrset in response.answer if rrset.rdtype == dns.rdatatype.TXT for data in rrset}

    async def _zone(self, owner: dns.name.Name) -> dns.name.Name:
        response = await self._ask(dns.message.make_query(owner, dns.rdatatype.SOA))
        for rrset in (*response.answer, *response.authority):
            if rrset.rdtype == dns.rdatatype.SOA and owner.is_subdomain(rrset.name):
                return rrset.name
        raise ConfigurationError(f"{self._where} has no zone for {owner}")

    async def _ask(self, message: dns.message.Message) -> dns.message.Message:
        try:
            return await dns.asyncquery.tcp(message, self._address, port=self._port, timeout=self._timeout_seconds)
        except dns.tsig.PeerError as error:
            raise ConfigurationError(f"{self._where}: the TSIG key is refused: {type(error).__name__}") from None
        except (dns.tsig.BadSignature, dns.exception.FormError) as error:
            name = type(error).__name__
            raise ConfigurationError(f"{self._where}: the answer is not signed by the TSIG key ({name})") from None
        except (dns.exception.DNSException, OSError, EOFError) as error:
            raise UnavailableError(f"{self._where} does not answer: {type(error).__name__}") from error


def _rdata(text: str) -> TXT:
    return TXT(dns.rdataclass.IN, dns.rdatatype.TXT, [part.encode() for part in txt_strings(text)])
