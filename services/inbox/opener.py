"""The opener: is this message what it says it is, and from whom it says? (protocol §1, §2, §3)."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from services.inbox.domain import (
    ENVELOPE_REASON,
    KEY_REASON,
    Reason,
    RefusedError,
    SenderKind,
    Subjects,
    check_addressing,
    sender_kind,
)
from shared.envelope import Envelope, EnvelopeError, key_name, parse
from shared.keys import KeyRecordError, PublicKey, parse_key_record
from shared.resolver import Answer, CachingResolver, KeyAnswer

_UNUSABLE: Final = {
    Answer.INSECURE: (Reason.INSECURE, "the sender's domain is not signed with DNSSEC"),
    Answer.BOGUS: (Reason.BOGUS, "the sender's key record fails DNSSEC validation"),
    Answer.ABSENT: (Reason.KEY_ABSENT, "no key record at the sender's selector"),
    Answer.UNDECIDED: (Reason.UNDECIDED, "the sender's key cannot be looked up now"),
}


class Opener:
    """Opens messages for one domain."""

    def __init__(
        self,
        *,
        domain: str,
        window_seconds: float,
        subjects: Subjects,
        resolver: CachingResolver,
        clock: Callable[[], datetime],
    ) -> None:
        self._domain = domain
        self._window_seconds = window_seconds
        self._subjects = subjects
        self._resolver = resolver
        self._clock = clock

    def read(self, data: bytes) -> Envelope:
        """Return the message in ``data``, checked in all that needs no key. Raises RefusedError. Cheap, and no I/O."""
        try:
            envelope = parse(data)
        except EnvelopeError as error:
            raise RefusedError(ENVELOPE_REASON[error.problem], str(error)) from error
        check_addressing(
            envelope,
            domain=self._domain,
            now=self._clock(),
            window_seconds=self._window_seconds,
            subjects=self._subjects,
        )
        if not _unsigned(envelope) and not envelope.hash_matches():
            raise RefusedError(Reason.SIGNATURE, "Hash: not that of Header and Body")
        return envelope

    async def open(self, data: bytes) -> Envelope:
        """Return the verified message in ``data``. Raises RefusedError. The cheap checks come first."""
        envelope = self.read(data)
        await self.authenticate(envelope)
        return envelope

    async def authenticate(self, envelope: Envelope) -> None:
        """Check that the sender made this message, by its key. Raises RefusedError. May ask the resolver."""
        if _unsigned(envelope):
            return
        name = key_name(envelope.generation, envelope.selector or "", envelope.sender)
        answer = await self._resolver.look_up(name)
        try:
            _check_signature(envelope, answer)
        except RefusedError as error:
            if error.reason in (Reason.INSECURE, Reason.UNDECIDED):
                raise
            # The key may be new, or have changed under its selector, since it was looked up: look past the cache once.
            fresh = await self._resolver.look_up(name, fresh=True)
            if fresh is answer:
                raise
            _check_signature(envelope, fresh)


def _unsigned(envelope: Envelope) -> bool:
    """Whether nobody vouches for the message, which only Anonymous may do, for subjects that allow it (protocol §8)."""
    return sender_kind(envelope) is SenderKind.ANONYMOUS and envelope.hash is None and envelope.signature is None


def _check_signature(envelope: Envelope, answer: KeyAnswer) -> None:
    if answer.answer is not Answer.SECURE:
        raise RefusedError(*_UNUSABLE[answer.answer])
    if not any(envelope.signed_by(key) for key in _keys(answer.records)):
        raise RefusedError(Reason.SIGNATURE, "Signature: not made with the sender's key")


def _keys(records: Iterable[str]) -> list[PublicKey]:
    """Return the usable keys among the records of one name; raises RefusedError for the first trouble when none is."""
    keys, trouble = [], None
    for record in records:
        try:
            keys.append(parse_key_record(record))
        except KeyRecordError as error:
            trouble = trouble or error
    if not keys and trouble is not None:
        raise RefusedError(KEY_REASON[trouble.problem], f"key record: {trouble}") from trouble
    return keys
