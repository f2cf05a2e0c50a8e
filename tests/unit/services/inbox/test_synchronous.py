"""Synchronous subjects: one call, one reply, and the same for every copy, over replicas and crashes."""

import asyncio
import json
from typing import Any

import pytest

from services.inbox.domain import Reason, RefusedError, SenderKind
from services.inbox.endpoint_map import Route, SyncEndpoint
from services.inbox.synchronous import Synchronous
from shared.envelope import parse
from tests.support.emulated_aws import Emulated
from tests.support.readers import until
from tests.unit.services.inbox.handlers import Handler, handling
from tests.unit.services.inbox.messages import DOMAIN, MOMENT, as_bytes, message


def a_route(handler: Handler, **options: Any) -> Route:
    endpoint = SyncEndpoint.model_validate({"kind": "sync", "url": handler.url, "deadline_seconds": 1.0, **options})
    return Route("A@B", frozenset({SenderKind.DOMAIN}), {}, ("handler", endpoint))


def synchronous(emulated: Emulated) -> Synchronous:
    return Synchronous(
        emulated.tables, domain=DOMAIN, source="//identity.example/inbox", keep_hours=72.0, clock=lambda: MOMENT
    )


async def ask(desk: Synchronous, handler: Handler, data: bytes, **options: Any) -> dict[str, Any]:
    reply: dict[str, Any] = json.loads(await desk.reply(a_route(handler, **options), parse(data), data))
    return reply


async def refusal(desk: Synchronous, handler: Handler, data: bytes, **options: Any) -> Reason:
    with pytest.raises(RefusedError) as caught:
        await ask(desk, handler, data, **options)
    return caught.value.reason


async def test_the_reply_goes_back_in_its_envelope_and_the_handler_gets_the_exact_message(emulated: Emulated) -> None:
    data = as_bytes(message())
    async with handling(reply='{"Text": "Look here"}') as handler:
        desk = synchronous(emulated)
        reply = await ask(desk, handler, data)
        await desk.close()
    assert set(reply) == {"Meta", "Request", "Response"}
    assert reply["Response"] == {"Text": "Look here"}
    assert reply["Request"]["Header"]["Correlation"] == parse(data).correlation
    assert handler.got[0][1].encode() == data
    assert handler.headers["ce-id"] == handler.got[0][0]


async def test_ten_copies_at_two_doors_are_one_call_and_ten_equal_replies(emulated: Emulated) -> None:
    data = as_bytes(message())
    async with handling(reply='{"Text": "once"}', seconds=0.2) as handler:
        desks = [synchronous(emulated), synchronous(emulated)]
        replies = await asyncio.gather(*(ask(desks[number % 2], handler, data) for number in range(10)))
        assert replies == [replies[0]] * 10
        assert len(handler.got) == 1
        await asyncio.gather(*(desk.close() for desk in desks))


async def test_after_a_crash_between_call_and_store_the_next_copy_calls_again_with_the_same_key(
    emulated: Emulated,
) -> None:
    data = as_bytes(message())
    async with handling() as handler:
        crashed, other = synchronous(emulated), synchronous(emulated)
        route = a_route(handler)
        # The claim of a process that died: its lease is over, nothing is stored.
        key = f"handler/{parse(data).identity}"
        assert route.replies is not None
        assert await crashed._claim(key, "dead", route.replies[1]) is None
        from services.inbox.synchronous import Held  # noqa: PLC0415 - what a lease's end looks like in the store

        await Held(emulated.tables, key, "dead").let_go()
        await ask(other, handler, data)
        await ask(crashed, handler, data)
        assert len(handler.got) == 1
        await other.close()


async def test_a_claim_that_is_held_by_another_is_answered_in_progress(emulated: Emulated) -> None:
    data = as_bytes(message())
    async with handling() as handler:
        desk, route = synchronous(emulated), a_route(handler)
        assert route.replies is not None
        assert await desk._claim(f"handler/{parse(data).identity}", "other", route.replies[1]) is None
        assert await refusal(desk, handler, data, deadline_seconds=0.3) is Reason.IN_PROGRESS
        assert handler.got == []


@pytest.mark.parametrize("answer", [{"status": 500}, {"status": 429}, {"reply": "no JSON"}, {"reply": "[1]"},
                                    {"hangs": True}, {"reply": '{"a": "' + "x" * 70_000 + '"}'}])  # fmt: skip
async def test_no_reply_now_is_503_and_the_next_try_calls_again(emulated: Emulated, answer: dict[str, Any]) -> None:
    data = as_bytes(message())
    async with handling(**answer) as handler:
        desk = synchronous(emulated)
        assert await refusal(desk, handler, data, deadline_seconds=0.3) is Reason.HANDLER
        handler.status, handler.reply, handler.hangs = 200, "{}", False
        await ask(desk, handler, data)
        assert len({key for key, _ in handler.got}) == 1
        await desk.close()


@pytest.mark.parametrize("status", [400, 404, 302])
async def test_a_refusal_is_kept_for_the_copies_too(emulated: Emulated, status: int) -> None:
    data = as_bytes(message())
    async with handling(status=status) as handler:
        desk = synchronous(emulated)
        assert await refusal(desk, handler, data) is Reason.HANDLER_REFUSED
        handler.status = 200
        assert await refusal(desk, handler, data) is Reason.HANDLER_REFUSED
        assert len(handler.got) == 1
        await desk.close()


async def test_a_full_handler_is_not_called(emulated: Emulated) -> None:
    async with handling(seconds=0.4) as handler:
        desk = synchronous(emulated)
        first = asyncio.create_task(ask(desk, handler, as_bytes(message()), most_in_flight=1))
        await until(lambda: handler.got)
        assert await refusal(desk, handler, as_bytes(message()), most_in_flight=1) is Reason.HANDLER
        await first
        await desk.close()
