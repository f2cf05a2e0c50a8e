"""A sample Wallet: opens pop-ups when told and plays the person before the camera as a test has set it.

`OpenPopup@Wallet` has the Body {Wallet, Popup, Url, Expires, Requester, Purpose?}, `ClosePopup@Wallet` {Wallet, Popup}.
The wallet is the broker of its persons too (`emulators.broker`): a prompt's content is a pop-up like another.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import aiohttp

from emulators import json_fields
from emulators.answers import Answers
from emulators.authenticator import password
from emulators.broker import PROMPT_SUBJECT, PromptError
from emulators.json_fields import FieldError, JsonObject
from emulators.mailbox import Mailbox
from emulators.pictures import MOST_FACES
from emulators.scan_page import Browser, Page, PageError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from emulators.broker import Broker, Chat
    from emulators.envelopes import Envelope
    from emulators.keys_over_dns import Resolver

OPEN_SUBJECT = "OpenPopup@Wallet"
CLOSE_SUBJECT = "ClosePopup@Wallet"
ANSWER_SUBJECT = "LocatorVerified@Domain"
MOST_POPUPS = 20_000
MOST_BEHAVIOURS = 100_000
LIVE_PERCENT = 80.0
"""Whom a provider without a figure calls live: the usual threshold of the one with it."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the person with one wallet does when a pop-up opens; without an order, nobody shows up."""

    shows_up: bool = False
    face: str = "nobody"
    confidence: float = 98.5
    faces: int = 1
    reference_image: bool = True
    think_seconds: float = 0.0
    done: bool = True
    status: str = "SUCCEEDED"
    reads_seconds: float = 0.0  # before start is pressed, if there is still something to start
    steps: int = 0  # how often the person does what else the page asks for, after the first check
    authenticator: str = ""  # the secret, base32
    knows: str = ""  # the answer to a security question


@dataclass(slots=True)
class Popup:
    """One pop-up's story; moments are epoch seconds, None for what did not happen."""

    popup: str
    wallet: str
    url: str | None
    requester: str | None
    purpose: str | None
    expires: str | None
    sender: str
    received_at: float
    page_fetched_at: float | None = None
    started_at: float | None = None
    captured_at: float | None = None
    done_at: float | None = None
    checks: int = 0
    asked: int = 0
    closed_at: float | None = None
    session_id: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    problem: str | None = None

    def as_json(self) -> JsonObject:
        """The form in which the listing shows it."""
        return {name: getattr(self, name) for name in self.__slots__}


class Wallet:
    """One wallet provider's domain and all persons who use it."""

    def __init__(
        self, name: str, resolver: Resolver, aws_url: str, session: aiohttp.ClientSession, broker: Broker
    ) -> None:
        self.name = name
        self.broker = broker
        self.answers = Answers()
        self.mailbox = Mailbox(name, resolver, self._take)
        self._camera_url = f"{aws_url.rstrip('/')}/_emulator/camera"
        self._session = session
        self._behaviours: dict[str, Behaviour] = {}
        self._popups: dict[tuple[str, str], Popup] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def behave(self, fields: JsonObject) -> JsonObject:
        """Order what the person with a wallet does from now on; see `emulators.peers`."""
        wallet = json_fields.text(fields, "wallet")
        usual = Behaviour()
        behaviour = Behaviour(
            shows_up=json_fields.flag(fields, "shows_up", default=True),
            face=json_fields.text(fields, "face", usual.face),
            confidence=json_fields.number(fields, "confidence", usual.confidence, most=100.0),
            faces=json_fields.whole(fields, "faces", usual.faces, most=MOST_FACES),
            reference_image=json_fields.flag(fields, "reference_image", default=True),
            think_seconds=json_fields.number(fields, "think_seconds", usual.think_seconds, most=600.0),
            done=json_fields.flag(fields, "done", default=True),
            reads_seconds=json_fields.number(fields, "reads_seconds", usual.reads_seconds, most=60.0),
            steps=json_fields.whole(fields, "steps", usual.steps, most=20),
            authenticator=json_fields.text(fields, "authenticator", usual.authenticator),
            knows=json_fields.text(fields, "knows", usual.knows),
            status=json_fields.one_of(fields, "status", ("SUCCEEDED", "FAILED", "IN_PROGRESS"), usual.status),
        )
        self._behaviours[wallet] = behaviour
        while len(self._behaviours) > MOST_BEHAVIOURS:
            del self._behaviours[next(iter(self._behaviours))]
        return {"wallet": wallet, "shows_up": behaviour.shows_up}

    def listing(self) -> list[JsonObject]:
        """Every remembered pop-up, oldest first."""
        return [popup.as_json() for popup in self._popups.values()]

    async def close(self) -> None:
        """Send everybody away from their cameras."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _take(self, envelope: Envelope, received_at: float) -> None:
        if envelope.subject == OPEN_SUBJECT:
            self._open(envelope, received_at)
        elif envelope.subject == CLOSE_SUBJECT:
            popup = self._popups.get(_popup_key(envelope.body))
            if popup is not None and popup.sender == envelope.sender:
                popup.closed_at = received_at
        elif envelope.subject == PROMPT_SUBJECT:
            chat = self.broker.chat_of(envelope)
            prompt = _string(envelope.body, "Prompt")
            if chat is not None and prompt is not None:
                self._run(self._prompted(chat, prompt, envelope, received_at))
        elif envelope.subject == ANSWER_SUBJECT and (question := _string(envelope.body, "Request")):
            self.answers.take(question, {"received_at": received_at, "from": envelope.sender, "body": envelope.body})

    def visit(self, fields: JsonObject) -> JsonObject:
        """Let the person with a wallet open an address that a web view shows; see `emulators.peers`."""
        url, wallet = json_fields.text(fields, "url"), json_fields.text(fields, "wallet")
        popup = self._note(Popup(url, wallet, url, None, None, None, "", time.time()))
        self._run(self._show_up(popup, url, self._behaviours.get(wallet, Behaviour())))
        return {}

    async def _prompted(self, chat: Chat, prompt: str, envelope: Envelope, received_at: float) -> None:
        """Fetch the prompt's content once, let the person do what it asks, and say that it is done."""
        expires = _string(envelope.body, "Expires")
        popup = self._note(Popup(prompt, chat.wallet, None, None, None, expires, envelope.sender, received_at))
        try:
            content = await self.broker.fetch(chat, prompt)
            popup.url, popup.purpose = _string(content, "URL"), _string(content, "Text")
            behaviour = self._behaviours.get(chat.wallet)
            if popup.url is None:
                popup.problem = "the prompt has no URL"
            elif behaviour is not None and behaviour.shows_up:
                await self._show_up(popup, popup.url, behaviour)
                await self.broker.reply(chat, prompt, "OK")
        except PromptError as error:
            popup.problem = str(error)

    def _note(self, popup: Popup) -> Popup:
        self._popups[popup.wallet, popup.popup] = popup
        while len(self._popups) > MOST_POPUPS:
            del self._popups[next(iter(self._popups))]
        return popup

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _open(self, envelope: Envelope, received_at: float) -> None:
        wallet, popup_id = key = _popup_key(envelope.body)
        popup = Popup(
            popup=popup_id,
            wallet=wallet,
            url=_string(envelope.body, "Url"),
            requester=_string(envelope.body, "Requester"),
            purpose=_string(envelope.body, "Purpose"),
            expires=_string(envelope.body, "Expires"),
            sender=envelope.sender,
            received_at=received_at,
        )
        if key in self._popups:
            self._popups[key].problem = "opened twice"
            return
        self._note(popup)
        if missing := [
            name for name in ("Wallet", "Popup", "Url", "Expires", "Requester") if not _string(envelope.body, name)
        ]:
            popup.problem = f"{OPEN_SUBJECT} lacks {', '.join(missing)}"
            return
        behaviour = self._behaviours.get(wallet)
        if behaviour is None or not behaviour.shows_up or popup.url is None:
            return
        self._run(self._show_up(popup, popup.url, behaviour))

    async def _show_up(self, popup: Popup, url: str, behaviour: Behaviour) -> None:
        try:
            await self._scan(popup, url, behaviour)
        except (PageError, FieldError, aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            popup.problem = str(error) or type(error).__name__

    async def _scan(self, popup: Popup, url: str, behaviour: Behaviour) -> None:
        """Open the page, do the check, and then what else the page asks for."""
        async with Browser(url) as browser:
            began = time.perf_counter()
            page = await browser.open(url)
            popup.page_fetched_at = time.time()
            _lap(popup, "page", began)
            if behaviour.reads_seconds:
                await asyncio.sleep(behaviour.reads_seconds)
                page = await browser.open(page.url)
                if "start" not in page.forms:
                    return  # nothing is asked any more
            page = await self._check(popup, browser, page, behaviour)
            for _ in range(behaviour.steps):
                page = await browser.settled(page)
                if "answer" in page.forms:
                    popup.asked += 1
                    given = password(behaviour.authenticator) if behaviour.authenticator else behaviour.knows
                    page = await browser.submit(page, "answer", answer=given)
                elif "start" in page.forms:
                    page = await self._check(popup, browser, page, behaviour)
                else:
                    return

    async def _check(self, popup: Popup, browser: Browser, page: Page, behaviour: Behaviour) -> Page:
        """Press start, stand before the camera, tell the page that it is done; return what it shows then."""
        began = time.perf_counter()
        page = await browser.submit(page, "start")
        popup.started_at = time.time()
        popup.session_id = page.session_id
        popup.checks += 1
        _lap(popup, "start", began)
        if page.session_id is None and page.provider_url is None:
            raise PageError("the page after start names no liveness session")
        await asyncio.sleep(behaviour.think_seconds)
        began = time.perf_counter()
        back = None
        if page.provider_url is not None:
            await self._stand_before_other_camera(page.provider_url, behaviour)
            back = await browser.film_elsewhere(page.provider_url)
        elif page.session_id is not None:
            await self._stand_before_camera(page.session_id, behaviour)
        popup.captured_at = time.time()
        began = _lap(popup, "camera", began)
        if back is not None:
            page = await browser.open(back)
        if behaviour.done:
            page = await browser.submit(page, "done")
            popup.done_at = time.time()
            _lap(popup, "done", began)
        return page

    async def _stand_before_camera(self, session_id: str, behaviour: Behaviour) -> None:
        order = {
            "session_id": session_id,
            "person": behaviour.face,
            "confidence": behaviour.confidence,
            "faces": behaviour.faces,
            "reference_image": behaviour.reference_image,
            "status": behaviour.status,
        }
        await self._order(self._camera_url, order)

    async def _stand_before_other_camera(self, url: str, behaviour: Behaviour) -> None:
        """As above, at the provider whose page this is (`emulators.azure_face`)."""
        parts = urlsplit(url)
        order = {
            "link": parse_qs(parts.query)["s"][0],
            "person": behaviour.face,
            "decision": "realface" if behaviour.confidence >= LIVE_PERCENT else "spoofface",
            "status": {"SUCCEEDED": "Succeeded", "FAILED": "Failed"}.get(behaviour.status, "Running"),
        }
        await self._order(f"{parts.scheme}://{parts.netloc}/_emulator/camera", order)

    async def _order(self, url: str, order: JsonObject) -> None:
        async with self._session.post(url, json=order) as answer:
            if answer.status != 200:  # noqa: PLR2004 - HTTP's OK
                reason = (await answer.content.read(1000)).decode("utf-8", "replace")
                raise PageError(f"the camera answered {answer.status}: {reason}")


def _lap(popup: Popup, step: str, began: float) -> float:
    """Note the seconds that `step` took, and start the next one."""
    now = time.perf_counter()
    popup.seconds[step] = round(now - began, 6)
    return now


def _popup_key(body: JsonObject) -> tuple[str, str]:
    return _string(body, "Wallet") or "", _string(body, "Popup") or ""


def _string(body: JsonObject, name: str) -> str | None:
    value = body.get(name)
    return value if isinstance(value, str) and value else None
