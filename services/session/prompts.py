"""The ways in which a person is led to the scan page, one message each, behind one port (protocol §6, §7; ADR 19)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from shared.events import PostRequested, derived_id, utc_text
from shared.generation import Generation
from shared.verification import Verification, Way

WEB_VIEW: Final = "WEB"
EMOJI: Final = "🆔"


class Prompt(Protocol):
    """One way."""

    def message(self, verification: Verification, url: str, expires: datetime) -> PostRequested:
        """Return what leads the person to ``url``, the same for every repeat; ``expires`` is the end of its time."""


class Popup:
    """NLWeb: the wallet is told to open its pop-up at the page's address."""

    def __init__(self, subject: str, domain: str) -> None:
        self._subject = subject
        self._domain = domain

    def message(self, verification: Verification, url: str, expires: datetime) -> PostRequested:
        """See Prompt."""
        body = {
            "Wallet": verification.wallet_id,
            "Popup": verification.verification_id,
            "Url": url,
            "Expires": utc_text(expires),
            "Requester": verification.requester or self._domain,
            "Purpose": verification.purpose or None,
        }
        return _post(
            verification,
            to=verification.wallet_domain,
            subject=self._subject,
            body={name: value for name, value in body.items() if value is not None},
            generation=Generation.NLWEB,
            correlation=derived_id("open popup", verification.verification_id),
            deadline=expires,
        )


class ChatPrompt:
    """PollyWeb: the broker forwards that there is a prompt; the wallet fetches its content itself (see ``host``)."""

    def message(self, verification: Verification, url: str, expires: datetime) -> PostRequested:
        """See Prompt. The broker is not shown the address, nor who asks."""
        return _post(
            verification,
            to=verification.wallet_domain,
            subject="Prompt@Broker",
            body={
                "Prompt": verification.verification_id,
                "Chat": verification.chat,
                "Expires": utc_text(expires),
                "Format": WEB_VIEW,
                "Emoji": EMOJI,
            },
            generation=Generation.POLLYWEB,
            correlation=derived_id("prompt", verification.verification_id),
            deadline=expires,
        )


class HostedCall:
    """PollyWeb's hosted function: who called shows the address in a web view and waits for the second hook."""

    def message(self, verification: Verification, url: str, expires: datetime) -> PostRequested:
        """See Prompt."""
        return _post(
            verification,
            to=verification.requester,
            subject="Handled@Talker",
            body={
                "Hook": verification.hook,
                "Response": {"URL": url, "Hook": verification.second_hook},
            },
            generation=Generation.POLLYWEB,
            correlation=derived_id("handled", verification.verification_id),
            deadline=expires,
        )


def prompts(popup_subject: str, domain: str) -> Mapping[Way, Prompt]:
    """Return the ways."""
    return {Way.POPUP: Popup(popup_subject, domain), Way.CHAT: ChatPrompt(), Way.HOSTED: HostedCall()}


def _post(verification: Verification, **fields: Any) -> PostRequested:
    return PostRequested(order_key=verification.verification_id, **fields)
