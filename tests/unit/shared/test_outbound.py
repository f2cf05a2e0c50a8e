"""Requests to servers of others: where they may go, what an answer may cost, what is used again, on real sockets."""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from emulators.certificates import issue_certificate, make_authority
from shared.outbound import OutboundClient, OutboundError, Reply, Target, Trouble, any_target, https_target
from shared.outbound_addresses import AddressRules, parse_networks
from tests.unit.shared.test_outbound_addresses import PRIVATE

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HOST = "nlweb.shop.example"
# Where a name may lead in these tests; the rest of loopback stands for our own network.
OUTSIDE, INSIDE = "127.0.0.2", "127.0.0.1"
RULES = AddressRules(parse_networks(f"{OUTSIDE}/32"))


class Names:
    """A resolver that answers from a list, the last answer for ever; ``asked`` counts."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not answer:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return answer


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Counts connections; answers each request with ``answer``, or does what ``behaviour`` does."""

    def __init__(self, answer: bytes = OK) -> None:
        self.answer = answer
        self.connections = 0
        self.requests: list[bytes] = []
        self.behaviour: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object] | None = None

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                writer.write(self.answer)
                await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def listening(
    server: Handler, address: str = OUTSIDE, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    listener = await asyncio.start_server(server, address, port, ssl=tls)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()


def client(names: Names, **more: object) -> OutboundClient:
    return OutboundClient(rules=RULES, look_up=names, **more)  # type: ignore[arg-type]


async def post(sender: OutboundClient, target: Target, timeout_seconds: float = 5) -> Reply:
    return await sender.request("POST", target, body=b"{}", timeout_seconds=timeout_seconds)


async def trouble(sender: OutboundClient, target: Target, timeout_seconds: float = 5) -> Trouble:
    with pytest.raises(OutboundError) as caught:
        await post(sender, target, timeout_seconds)
    assert "\n" not in str(caught.value)
    return caught.value.trouble


# -- where it goes ----------------------------------------------------------------------------------------------------


async def test_a_request_goes_to_the_judged_address_with_the_name_in_its_host_header() -> None:
    server = Server()
    async with listening(server) as port:
        sender = client(Names([OUTSIDE]))
        reply = await post(sender, Target(HOST, port, "/inbox", tls=False))
        assert (reply.status, reply.body) == (200, b"ok")
        assert f"host: {HOST}:{port}\r\n".encode() in server.requests[0]
        await sender.close()


@pytest.mark.parametrize("address", PRIVATE)
async def test_a_name_that_leads_inside_is_refused_before_any_connection(address: str) -> None:
    opened: list[str] = []

    class Watched(OutboundClient):
        async def _open(self, target: Target, address: str) -> object:  # type: ignore[override]
            opened.append(address)
            raise AssertionError

    sender = Watched(look_up=Names([address]))
    assert await trouble(sender, https_target(HOST, "/inbox")) is Trouble.ADDRESS
    assert opened == []


async def test_of_several_addresses_only_those_outside_are_connected_to() -> None:
    inside, outside = Server(), Server()
    async with listening(outside) as port, listening(inside, INSIDE, port):
        sender = client(Names([INSIDE, OUTSIDE, "::1"]))
        for _ in range(3):
            assert (await post(sender, Target(HOST, port, "/", tls=False))).status == 200
        await sender.close()
    assert (inside.connections, outside.connections) == (0, 1)


async def test_a_name_that_is_rebound_never_leads_inside() -> None:
    """The answer is public when it is judged and private ever after, as a rebinding name server would have it."""
    inside, outside = Server(), Server(OK.replace(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nConnection: close\r\n"))
    async with listening(outside) as port, listening(inside, INSIDE, port):
        names = Names([OUTSIDE], [INSIDE])
        sender = client(names)
        target = Target(HOST, port, "/", tls=False)
        for _ in range(3):  # what was judged is connected to, however often
            assert (await post(sender, target)).status == 200
        sender._names.forget(HOST)  # the answer's time is over
        for _ in range(3):
            assert await trouble(sender, target) is Trouble.ADDRESS
        assert names.asked == 4
        await sender.close()
    assert inside.connections == 0
    assert outside.connections == 3


async def test_a_connection_is_used_again_at_the_address_that_it_was_judged_for_after_the_name_has_moved() -> None:
    inside, outside = Server(), Server()
    async with listening(outside) as port, listening(inside, INSIDE, port):
        sender = client(Names([OUTSIDE], [INSIDE]))
        target = Target(HOST, port, "/", tls=False)
        await post(sender, target)
        sender._names.forget(HOST)
        await post(sender, target)
        await sender.close()
    assert (inside.connections, outside.connections) == (0, 1)


async def test_names_of_the_system_that_lead_inside_are_refused_too() -> None:
    sender = OutboundClient()
    assert await trouble(sender, Target("localhost", 443, "/")) is Trouble.ADDRESS
    assert await trouble(sender, Target("127.0.0.1", 443, "/")) is Trouble.ADDRESS
    await sender.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_like_any_other(status: int) -> None:
    elsewhere = Server()
    async with listening(elsewhere) as other:
        answer = f"HTTP/1.1 {status} Moved\r\nLocation: http://{HOST}:{other}/\r\nContent-Length: 0\r\n\r\n"
        async with listening(Server(answer.encode())) as port:
            sender = client(Names([OUTSIDE]))
            reply = await post(sender, Target(HOST, port, "/", tls=False))
            await sender.close()
    assert reply.status == status
    assert elsewhere.connections == 0


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "[::1]", "localhost", "a..example", "x.example:22", "a@b.example", "ä.example"]
)
def test_what_is_no_domain_name_is_no_target(host: str) -> None:
    with pytest.raises(OutboundError, match="no domain name"):
        https_target(host, "/inbox")


@pytest.mark.parametrize("path", ["", "inbox", "/a b", "/a\r\nHost: b", "/ä", "//\x00"])
def test_a_path_that_would_break_the_request_is_none(path: str) -> None:
    with pytest.raises(OutboundError, match="no path"):
        https_target(HOST, path)


async def test_a_header_with_a_line_break_is_refused() -> None:
    with pytest.raises(ValueError, match="line break"):
        await OutboundClient().request(
            "GET", https_target(HOST, "/"), headers={"x": "a\r\nhost: b.example"}, timeout_seconds=1
        )


@pytest.mark.parametrize(
    "url", ["", "no url", "http://", "ftp://a.example/", "http://a.example:99999/", "//a.example/"]
)
def test_a_development_s_inbox_must_be_a_url(url: str) -> None:
    with pytest.raises(OutboundError):
        any_target(url)


# -- what an answer may cost ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"220 mail.example ESMTP\r\n", Trouble.NOT_HTTP),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", Trouble.NOT_HTTP),
        (b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 20_000 + b"\r\n\r\n", Trouble.TOO_LARGE),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 101 + b"\r\n", Trouble.NOT_HTTP),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, Trouble.TOO_LARGE),
    ],
    ids=["another protocol", "an upgrade", "a long header", "many headers", "endless announcements"],
)
async def test_an_answer_beyond_bounds_is_trouble(answer: bytes, expected: Trouble) -> None:
    if b"x: y\r\n" in answer:
        answer = b"HTTP/1.1 200 OK\r\n" + b"".join(b"x%d: y\r\n" % n for n in range(101)) + b"\r\n"
        expected = Trouble.TOO_LARGE
    async with listening(Server(answer)) as port:
        sender = client(Names([OUTSIDE]))
        assert await trouble(sender, Target(HOST, port, "/", tls=False), 2) is expected
        assert sender.connections == 0


async def test_announcements_before_the_answer_are_passed_over() -> None:
    async with listening(
        Server(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK)
    ) as port:
        sender = client(Names([OUTSIDE]))
        reply = await post(sender, Target(HOST, port, "/", tls=False))
        assert (reply.status, "link" in reply.headers) == (200, False)
        await sender.close()


async def test_a_body_beyond_its_bound_is_cut_and_its_connection_closed() -> None:
    async with listening(Server(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(1_000_000))) as port:
        sender = client(Names([OUTSIDE]))
        target = Target(HOST, port, "/", tls=False)
        reply = await sender.request("GET", target, timeout_seconds=5, most_body_bytes=1000)
        assert (reply.status, reply.cut) == (200, True)
        assert len(reply.body) <= 1000
        assert sender.connections == 0


async def test_one_deadline_covers_a_server_that_says_nothing() -> None:
    async with listening(Server(b"")) as port:
        sender = client(Names([OUTSIDE]))
        began = asyncio.get_running_loop().time()
        assert await trouble(sender, Target(HOST, port, "/", tls=False), 0.3) is Trouble.TIMEOUT
        assert asyncio.get_running_loop().time() - began < 2
        assert sender.connections == 0


async def test_a_name_server_that_does_not_answer_costs_the_same_deadline() -> None:
    class Silent(Names):
        async def __call__(self, host: str, port: int) -> Sequence[str]:
            await asyncio.sleep(60)
            raise AssertionError

    assert await trouble(client(Silent()), Target(HOST, 443, "/"), 0.2) is Trouble.TIMEOUT


async def test_a_name_that_does_not_exist_is_trouble_of_dns() -> None:
    assert await trouble(client(Names([])), Target(HOST, 443, "/")) is Trouble.DNS


async def test_an_address_where_nobody_listens_gives_way_to_the_next() -> None:
    server = Server()
    async with listening(server) as port:
        sender = OutboundClient(
            rules=AddressRules(parse_networks("127.0.0.0/24")), look_up=Names(["127.0.0.9", OUTSIDE])
        )
        assert (await post(sender, Target(HOST, port, "/", tls=False))).status == 200
        await sender.close()


async def test_a_port_where_nobody_listens_is_trouble() -> None:
    async with listening(Server()) as port:
        pass
    assert await trouble(client(Names([OUTSIDE])), Target(HOST, port, "/", tls=False)) is Trouble.CONNECT


# -- what is used again -----------------------------------------------------------------------------------------------


async def test_a_connection_that_was_closed_while_idle_is_replaced_and_the_request_sent_once_more() -> None:
    server = Server()
    async with listening(server) as port:
        sender = client(Names([OUTSIDE]))
        target = Target(HOST, port, "/", tls=False)
        await post(sender, target)
        (idle,) = sender._pool._idle[target]
        idle._transport.abort()
        idle.alive = True  # as if the other side's end had not been noticed yet
        assert (await post(sender, target)).status == 200
        await sender.close()
    assert server.connections == 2


async def test_idle_connections_are_bounded_and_the_longest_unused_goes_first() -> None:
    async with contextlib.AsyncExitStack() as stack:
        servers = [Server() for _ in range(4)]
        ports = [await stack.enter_async_context(listening(server)) for server in servers]
        sender = client(Names([OUTSIDE]), idle_connections=2)
        for port in (*ports, ports[-1], ports[0]):
            await post(sender, Target(HOST, port, "/", tls=False))
            assert sender.connections <= 2
        assert [server.connections for server in servers] == [2, 1, 1, 1]
        await sender.close()


async def test_requests_at_once_share_a_connection_that_answers_soon() -> None:
    server = Server()
    async with listening(server) as port:
        sender = client(Names([OUTSIDE]))
        target = Target(HOST, port, "/", tls=False)
        replies = await asyncio.gather(*(post(sender, target) for _ in range(20)))
        assert {reply.status for reply in replies} == {200}
        assert len(server.requests) == 20
        await sender.close()
    assert server.connections < 5


async def test_no_request_waits_for_those_that_are_not_answered_soon() -> None:
    server, all_there = Server(b""), asyncio.Event()

    async def answer_when_all_are_there(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        if server.connections == 5:
            all_there.set()
        await all_there.wait()
        writer.write(OK)

    async with listening(answer_when_all_are_there) as port:
        sender = client(Names([OUTSIDE]))
        target = Target(HOST, port, "/", tls=False)
        replies = await asyncio.gather(*(post(sender, target, timeout_seconds=3) for _ in range(5)))
        assert [reply.status for reply in replies] == [200] * 5
        assert sender.connections == 5
        await sender.close()


@pytest.mark.parametrize(("kept", "opened"), [(1, 1), (2, 2)])
async def test_a_request_waits_longer_when_a_connection_of_its_own_would_cost_another_its_place(
    kept: int, opened: int
) -> None:
    server = Server()

    async def answer_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"{}")
                await asyncio.sleep(0.6)
                writer.write(OK)

    async with listening(answer_late) as port:
        sender = client(Names([OUTSIDE]), idle_connections=kept)
        target = Target(HOST, port, "/", tls=False)
        replies = await asyncio.gather(*(post(sender, target) for _ in range(2)))
        assert [reply.status for reply in replies] == [200, 200]
        await sender.close()
    assert server.connections == opened


async def test_who_waits_for_a_connection_that_breaks_opens_one_at_once() -> None:
    server = Server()

    async def break_the_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        await reader.readuntil(b"{}")
        if server.connections > 1:
            writer.write(OK)
        writer.close()

    async with listening(break_the_first) as port:
        sender = client(Names([OUTSIDE]), idle_connections=1)
        target = Target(HOST, port, "/", tls=False)
        began = time.monotonic()
        first, second = await asyncio.gather(post(sender, target), post(sender, target), return_exceptions=True)
        assert time.monotonic() - began < 0.8
        assert isinstance(first, OutboundError)
        assert isinstance(second, Reply)
        await sender.close()


async def test_who_waits_for_a_connection_and_is_cancelled_takes_none_away() -> None:
    server, go_on = Server(), asyncio.Event()

    async def answer_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        for _ in range(2):
            await reader.readuntil(b"{}")
            await go_on.wait()
            writer.write(OK)

    async with listening(answer_late) as port:
        sender = client(Names([OUTSIDE]))
        target = Target(HOST, port, "/", tls=False)
        first, second = (asyncio.create_task(post(sender, target)) for _ in range(2))
        await asyncio.sleep(0.005)
        second.cancel()
        go_on.set()
        assert (await first).status == 200
        with pytest.raises(asyncio.CancelledError):
            await second
        assert (await post(sender, target)).status == 200
        assert not sender._pool._in_use
        await sender.close()
    assert server.connections == 1


async def test_a_connection_handed_to_who_is_cancelled_at_that_moment_is_the_next_ones() -> None:
    server = Server()
    async with listening(server) as port:
        sender = client(Names([OUTSIDE]))
        target = Target(HOST, port, "/", tls=False)
        await post(sender, target)
        pool = sender._pool
        connection = await pool.take(target)
        assert connection is not None
        waiting = asyncio.create_task(pool.take(target))
        await asyncio.sleep(0)
        pool.keep(target, connection)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        for _ in range(2):
            pool.leave(target)
        assert await pool.take(target) is connection
        await sender.close()


async def test_a_request_that_is_cancelled_leaves_no_connection() -> None:
    async with listening(Server(b"")) as port:
        sender = client(Names([OUTSIDE]))
        request = asyncio.create_task(post(sender, Target(HOST, port, "/", tls=False)))
        while not sender.connections:  # noqa: ASYNC110 - one turn of the loop after another
            await asyncio.sleep(0.01)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert sender.connections == 0


# -- TLS --------------------------------------------------------------------------------------------------------------


def _contexts(folder: Path, names: list[str], authority: str = ".") -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's context with a certificate for ``names``, and a client's that trusts the folder's authority."""
    make_authority(folder)
    make_authority(folder / authority)
    certificate, key = issue_certificate(folder / authority, names)
    (folder / "s.pem").write_bytes(certificate + key)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "s.pem")
    return serving, ssl.create_default_context(cafile=folder / "ca.pem")


async def test_the_certificate_of_the_name_is_accepted_at_the_pinned_address(tmp_path: Path) -> None:
    serving, trust = _contexts(tmp_path, [HOST])
    server = Server()
    async with listening(server, tls=serving) as port:
        sender = client(Names([OUTSIDE]), trust=trust)
        for _ in range(3):
            assert (await post(sender, Target(HOST, port, "/"))).status == 200
        await sender.close()
    assert server.connections == 1


@pytest.mark.parametrize(
    ("names", "authority"), [(["nlweb.other.example"], "."), ([OUTSIDE], "."), ([HOST], "another")],
    ids=["another name's", "the address's", "of an unknown authority"],
)  # fmt: skip
async def test_a_wrong_certificate_is_permanent_trouble_and_no_request_is_sent(
    tmp_path: Path, names: list[str], authority: str
) -> None:
    serving, trust = _contexts(tmp_path, names, authority)
    server = Server()
    async with listening(server, tls=serving) as port:
        sender = client(Names([OUTSIDE]), trust=trust)
        assert await trouble(sender, Target(HOST, port, "/")) is Trouble.CERTIFICATE
    assert server.requests == []


async def test_plain_http_where_tls_is_due_is_trouble() -> None:
    async with listening(Server(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        listener = Target(HOST, port, "/")
        assert await trouble(client(Names([OUTSIDE])), listener, 2) in (Trouble.TLS, Trouble.TIMEOUT, Trouble.CLOSED)
