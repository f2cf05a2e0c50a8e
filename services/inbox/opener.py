"""The opener: is this message what it says it is, and from whom it says? (protocol §1, §2, §3)."""

from collections.abc import Callable
from dataclasses import dataclass
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
from services.inbox.key_cache import KeyCache, KnownKeys
from shared.envelope import Envelope, EnvelopeError, key_name, parse
from shared.resolver import Answer
from shared.strict_json import DEFAULT_BOUNDS, JsonBounds

_UNUSABLE: Final = {
    Answer.INSECURE: (Reason.INSECURE, "the sender's domain is not signed with DNSSEC"),
    Answer.BOGUS: (Reason.BOGUS, "the sender's key record fails DNSSEC validation"),
    Answer.ABSENT: (Reason.KEY_ABSENT, "no key of the sender's is published or registered"),
    Answer.UNDECIDED: (Reason.UNDECIDED, "the sender's key cannot be looked up now"),
}
# What another look-up of the same key does not change.
_FINAL: Final = (Reason.INSECURE, Reason.UNDECIDED)


class Opener:
    """Opens messages for one domain."""

    def __init__(
        self,
        *,
        domain: str,
        window_seconds: float,
        subjects: Subjects,
        keys: KeyCache,
        registered: KeyCache | None,
        clock: Callable[[], datetime],
        json_bounds: JsonBounds = DEFAULT_BOUNDS,
    ) -> None:
        self._domain = domain
        self._window_seconds = window_seconds
        self._subjects = subjects
        self._keys = keys
        self._registered = registered
        self._clock = clock
        self._json_bounds = json_bounds

    def read(self, data: bytes) -> Envelope:
        """Return the message in ``data``, checked in all that needs no key. Raises RefusedError. Cheap, and no I/O."""
        try:
            envelope = parse(data, self._json_bounds)
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
        """Check that the sender made this message, by its key. Raises RefusedError. May look the key up."""
        doubt = self.prove(envelope)
        if doubt is not None:
            await self.settle(envelope, doubt)

    def prove(self, envelope: Envelope) -> "Doubt | None":
        """Check that the sender made this message, by what is known; return what is left to be asked, None for nothing.

        A domain's key is in DNS, a wallet's is registered, and who is Anonymous has none: nothing is believed of it.
        Raises RefusedError for what no look-up can change.
        """
        match sender_kind(envelope):
            case SenderKind.ANONYMOUS:
                return None
            case SenderKind.WALLET:
                if None in (envelope.signature, envelope.hash):
                    raise RefusedError(Reason.UNSIGNED, "Hash and Signature are needed")
                if self._registered is None:
                    raise RefusedError(Reason.UNDECIDED, "registered keys are not looked up here")
                cache, name = self._registered, envelope.sender
            case SenderKind.DOMAIN:
                cache = self._keys
                name = key_name(envelope.generation, envelope.selector or "", envelope.sender).lower()
        known = cache.known(name)
        if known is None:
            return self._doubt(envelope, cache, name, known=False)
        try:
            _check_signature(envelope, known)
        except RefusedError as error:
            if error.reason in _FINAL:
                raise
            return self._doubt(envelope, cache, name, known=True)
        cache.prove(name)
        return None

    @staticmethod
    def _doubt(envelope: Envelope, cache: KeyCache, name: str, *, known: bool) -> "Doubt":
        if (denied := cache.denied(name, envelope.sender, past=known)) is not None:
            _check_signature(envelope, denied)  # raises: there is no key in it
        return Doubt(cache, name, cache.moment, known=known)

    async def settle(self, envelope: Envelope, doubt: "Doubt") -> None:
        """Check what ``prove`` left, by looking the key up. Raises RefusedError."""
        if not doubt.known:
            known = await doubt.cache.find(doubt.name, envelope.sender)
            try:
                _check_signature(envelope, known)
            except RefusedError as error:
                if error.reason in _FINAL or known.look_up > doubt.moment:
                    raise
            else:
                doubt.cache.prove(doubt.name)
                return
        # A key may be new, or have changed under its name: what was known before the message came refuses nothing.
        _check_signature(envelope, await doubt.cache.renew(doubt.name, envelope.sender, doubt.moment))
        doubt.cache.prove(doubt.name)


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is still to be asked about a message that came at ``moment``: the key called ``name``.

    ``known``: a key of that name is known, and the message is not signed with it.
    """

    cache: KeyCache
    name: str
    moment: int
    known: bool


def _unsigned(envelope: Envelope) -> bool:
    """Whether nobody vouches for the message, which only Anonymous may do, for subjects that allow it (protocol §8)."""
    return sender_kind(envelope) is SenderKind.ANONYMOUS and envelope.hash is None and envelope.signature is None


def _check_signature(envelope: Envelope, known: KnownKeys) -> None:
    if known.spent is not None and known.spent.by_owner:
        raise RefusedError(
            Reason.LOOK_UPS,
            "too many keys were looked up in this sender's name",
            retry_after_seconds=known.spent.wait_seconds,
        )
    if known.answer is not Answer.SECURE:
        raise RefusedError(*_UNUSABLE[known.answer])
    if known.trouble is not None:
        raise RefusedError(KEY_REASON[known.trouble.problem], f"key record: {known.trouble}") from known.trouble
    if not any(envelope.signed_by(key) for key in known.keys):
        raise RefusedError(Reason.SIGNATURE, "Signature: not made with the sender's key")
