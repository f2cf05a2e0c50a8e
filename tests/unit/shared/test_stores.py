"""Conditional writes hold or say that they do not; whatever else happens is one of few errors."""

import asyncio
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from shared.errors import ConfigurationError, UnavailableError
from shared.settings import StoreSettings
from shared.stores import Aws, ConditionFailedError, Item, Put, ServiceError, Tables, Update
from shared.tables import TABLES, create_tables

CONFLICT = (
    b'{"__type":"com.amazonaws#TransactionCanceledException",'
    b'"CancellationReasons":[{"Code":"TransactionConflict"},{"Code":"None"}]}'
)


def key() -> str:
    return uuid.uuid4().hex


def claim(message: str, offset: int, **more: str | int | bool) -> Put:
    return Put("claims", {"message": message, "offset": offset, **more}, unless_exists="message", or_same="offset")


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A server that gives every request the same answer, such as a load balancer's page."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


async def test_an_item_comes_back_with_the_types_that_it_had(tables: Tables) -> None:
    item: Item = {"message": key(), "text": "é🤝", "empty": "", "number": -5, "large": 2**100, "yes": True, "no": False}
    await tables.put(Put("claims", item))
    found = await tables.get("claims", {"message": item["message"]})
    assert found == item
    assert found is not None
    assert type(found["yes"]) is bool
    assert await tables.get("claims", {"message": key()}) is None


async def test_a_put_unless_exists_is_done_once(tables: Tables) -> None:
    message = key()
    await tables.put(Put("claims", {"message": message, "by": "first"}, unless_exists="message"))
    with pytest.raises(ConditionFailedError):
        await tables.put(Put("claims", {"message": message, "by": "second"}, unless_exists="message"))
    assert await tables.get("claims", {"message": message}) == {"message": message, "by": "first"}
    await tables.delete("claims", {"message": message})
    await tables.delete("claims", {"message": message})
    await tables.put(Put("claims", {"message": message, "by": "second"}, unless_exists="message"))


async def test_the_claim_of_the_same_offset_holds_again_and_of_another_does_not(tables: Tables) -> None:
    message = key()
    await tables.put(claim(message, 7))
    await tables.put(claim(message, 7))
    with pytest.raises(ConditionFailedError):
        await tables.put(claim(message, 8))


async def test_an_update_needs_the_state_that_it_names(tables: Tables) -> None:
    message = key()
    await tables.put(Put("claims", {"message": message, "state": "a", "attempt": 0, "kept": "x"}))
    move = Update("claims", {"message": message}, {"state": "b", "attempt": 1}, {"state": ["a", "z"], "attempt": [0]})
    assert await tables.update(move) == {"message": message, "state": "b", "attempt": 1, "kept": "x"}
    with pytest.raises(ConditionFailedError) as caught:
        await tables.update(move)
    # What was found comes with the refusal, so that nobody has to look.
    assert caught.value.found == {"message": message, "state": "b", "attempt": 1, "kept": "x"}


async def test_an_update_of_what_is_not_there_makes_nothing(tables: Tables) -> None:
    message = key()
    with pytest.raises(ConditionFailedError):
        await tables.update(Update("claims", {"message": message}, {"state": "b"}, {"state": ["a"]}))
    assert await tables.get("claims", {"message": message}) is None


async def test_a_transaction_does_all_or_nothing_and_says_which_write_failed(tables: Tables) -> None:
    copies, fresh = [key() for _ in range(3)], key()
    await tables.put(claim(copies[1], 1))
    writes: list[Put | Update] = [claim(copies[0], 2), claim(copies[1], 2), claim(copies[2], 2)]
    with pytest.raises(ConditionFailedError) as caught:
        await tables.transact(writes)
    assert caught.value.reasons == ["None", "ConditionalCheckFailed", "None"]
    assert await tables.get("claims", {"message": copies[0]}) is None
    await tables.transact([writes[0], writes[2], claim(fresh, 3)])
    assert await tables.get("claims", {"message": fresh}) == {"message": fresh, "offset": 3}
    update = Update("claims", {"message": fresh}, {"offset": 4}, {"offset": [9]})
    with pytest.raises(ConditionFailedError) as caught:
        await tables.transact([claim(key(), 1), update])
    assert caught.value.reasons == ["None", "ConditionalCheckFailed"]


async def test_of_many_claims_at_once_exactly_one_holds(tables: Tables) -> None:
    message = key()
    results = await asyncio.gather(
        *(tables.put(claim(message, offset)) for offset in range(10)), return_exceptions=True
    )
    assert [type(result) for result in results].count(type(None)) == 1
    assert [type(result) for result in results].count(ConditionFailedError) == 9


async def test_a_missing_table_is_unavailable_and_the_operator_learns_what_to_do(aws: Aws) -> None:
    tables = Tables(aws, StoreSettings(table_prefix="none-such-"))
    for work in (
        tables.get("claims", {"message": "a"}),
        tables.put(claim("a", 1)),
        tables.transact([claim("a", 1)]),
    ):
        with pytest.raises(UnavailableError, match="facescan tables create"):
            await work
    assert await tables.missing(["claims", "locators"]) == ["none-such-claims", "none-such-locators"]


async def test_tables_and_bucket_are_made_once(aws: Aws) -> None:
    settings = StoreSettings(table_prefix=f"{key()[:8]}-", bucket=key())
    made = await asyncio.to_thread(create_tables, aws, settings)
    assert made == [*(settings.table_prefix + spec.name for spec in TABLES), settings.bucket]
    assert await asyncio.to_thread(create_tables, aws, settings) == []
    assert await Tables(aws, settings).missing([spec.name for spec in TABLES]) == []


async def test_a_call_that_aws_refuses_is_a_service_error_with_its_word(aws: Aws, tables: Tables) -> None:
    with pytest.raises(ServiceError) as caught:
        await tables.put(Put("claims", {"no_key": "x"}))
    assert caught.value.code == "ValidationException"
    with pytest.raises(ServiceError) as caught:
        await aws.call("s3.GetObject", aws.client("s3").head_object, Bucket="none-such", Key="x")
    assert caught.value.operation == "s3.GetObject"


async def test_an_endpoint_that_nobody_listens_on_is_unavailable_within_seconds(
    aws_variables: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{probe.getsockname()[1]}")
        tables = Tables(Aws(StoreSettings()), StoreSettings())
        began = time.monotonic()
        with pytest.raises(UnavailableError, match=r"dynamodb\.GetItem: "):
            await tables.get("claims", {"message": "a"})
        assert time.monotonic() - began < 8


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (503, b"<html>Service Unavailable</html>"),
        (500, b'{"__type":"com.amazonaws#InternalServerError"}'),
        (400, b'{"__type":"com.amazonaws#ThrottlingException"}'),
        (400, b'{"__type":"com.amazonaws#ProvisionedThroughputExceededException"}'),
        (400, CONFLICT),
    ],
)  # fmt: skip
async def test_trouble_of_the_store_is_unavailable_and_never_a_no(
    aws_variables: None, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes
) -> None:
    with answering(status, body) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        with pytest.raises(UnavailableError):
            await Tables(Aws(StoreSettings()), StoreSettings()).transact([claim("a", 1)])


def test_without_a_region_the_variable_is_named(aws_variables: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(ConfigurationError, match="AWS_REGION is not set"):
        Aws(StoreSettings()).client("dynamodb")


def test_the_variable_that_the_error_names_is_enough(aws_variables: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert Aws(StoreSettings()).client("dynamodb").meta.region_name == "eu-west-1"
