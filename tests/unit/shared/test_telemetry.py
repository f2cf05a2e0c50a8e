"""Logs are lines of JSON, spans follow a record from process to process, and neither tells what it must not."""

import json
import logging
import subprocess
import sys

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from shared.telemetry import JsonLines, SpanKind, current_traceparent, export_to, span

LOGGING = """
import logging
from shared.telemetry import set_up_logs
set_up_logs("inbox", "INFO")
log = logging.getLogger("shared.consuming")
log.info("put aside", extra={"group": "g", "seconds": 1.5})
log.debug("not shown")
logging.getLogger("aiokafka.conn").error("not shown")
logging.getLogger("botocore").info("not shown")
logging.getLogger("botocore.x").warning("shown")
try:
    raise ValueError("two\\nlines")
except ValueError:
    log.exception("a\\nb")
"""


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    """The process's spans in memory; the provider can be set only once, so no other test may set one."""
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    export_to(provider)
    return memory


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> InMemorySpanExporter:
    exporter.clear()
    return exporter


def finished(spans: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {found.name: found for found in spans.get_finished_spans()}


def test_every_log_record_is_one_line_of_json_on_standard_error() -> None:
    done = subprocess.run([sys.executable, "-c", LOGGING], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    first, shown, failed = [json.loads(line) for line in done.stderr.splitlines()]
    assert first.pop("time")
    assert first == {
        "level": "INFO", "logger": "shared.consuming", "message": "put aside", "service": "inbox", "group": "g",
        "seconds": 1.5,
    }  # fmt: skip
    assert (shown["logger"], shown["level"]) == ("botocore.x", "WARNING")
    assert failed["message"] == "a\nb"
    assert "ValueError" in failed["exc_info"]


@pytest.mark.parametrize("odd", [object(), b"\xff", "\ud800", 2**70, {1: 2}, ValueError("x")])
def test_a_log_record_with_any_value_is_a_line_of_json_all_the_same(odd: object) -> None:
    record = logging.makeLogRecord({"msg": "%s of %s", "args": ("one", 2), "levelname": "INFO", "odd": odd})
    line = json.loads(JsonLines("inbox").format(record))
    assert (line["message"], line["service"]) == ("one of 2", "inbox")
    assert "odd" in line


def test_a_span_marks_an_error_by_its_type_alone(spans: InMemorySpanExporter) -> None:
    def fail() -> None:
        with span("failing"):
            raise ValueError("what a sender wrote")

    with pytest.raises(ValueError, match="what a sender wrote"):
        fail()
    found = finished(spans)["failing"]
    assert (found.status.status_code, found.status.description) == (StatusCode.ERROR, "ValueError")
    assert found.events == ()
    assert "what a sender wrote" not in found.to_json()


def test_a_traceparent_leads_from_one_process_to_the_next(spans: InMemorySpanExporter) -> None:
    with span("publish", kind=SpanKind.PRODUCER):
        written = current_traceparent()
    assert written is not None
    with span("process", kind=SpanKind.CONSUMER, parent=written, attributes={"messaging.system": "kafka"}):
        passed_on = current_traceparent()
    publish, process = finished(spans)["publish"], finished(spans)["process"]
    assert publish.context is not None
    assert process.context is not None
    assert process.parent is not None
    assert process.context.trace_id == publish.context.trace_id
    assert process.parent.span_id == publish.context.span_id
    assert process.parent.is_remote
    assert passed_on is not None
    assert passed_on.split("-")[1] == written.split("-")[1]
    assert process.attributes == {"messaging.system": "kafka"}


def test_a_batch_is_linked_to_the_traces_of_its_records(spans: InMemorySpanExporter) -> None:
    written = []
    for name in ("one", "two"):
        with span(name):
            written.append(current_traceparent())
    with span("batch", links=(*written, None, "junk")):
        pass
    batch = finished(spans)["batch"]
    assert [f"{link.context.trace_id:032x}" for link in batch.links] == [text.split("-")[1] for text in written if text]
    assert batch.parent is None


@pytest.mark.parametrize("junk", ["", "junk", "00-0-0-00", f"00-{'0' * 32}-{'0' * 16}-01", "\ud800", "é" * 1000])
def test_a_traceparent_that_is_junk_starts_a_trace_of_its_own(spans: InMemorySpanExporter, junk: str) -> None:
    with span("process", parent=junk):
        pass
    assert finished(spans)["process"].parent is None


def test_outside_of_any_span_there_is_no_traceparent() -> None:
    assert current_traceparent() is None


TURNS = """
import asyncio
import logging
import os
import signal
from shared.telemetry import set_up_logs
set_up_logs("inbox", "INFO")
log = logging.getLogger("shared.consuming")
async def say():
    log.info("first")
    log.info("second", extra={"ids": [1]})
    await asyncio.sleep(0)
    log.info("third")
    log.warning("fourth")
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(say())
"""


def test_lines_of_one_turn_are_written_together_in_order_and_a_warning_waits_for_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", TURNS], capture_output=True, text=True, check=False)
    assert [json.loads(line)["message"] for line in done.stderr.splitlines()] == ["first", "second", "third", "fourth"]
