"""Logs, traces and metrics, set up once for every service.

Logs are one JSON object a line on standard error, a line per decision, with ids and never with a face, a score, a token
or a key. Traces follow a verification over Kafka, HTTP and stores by W3C ``traceparent``; they are exported when the
standard variable ``OTEL_EXPORTER_OTLP_ENDPOINT`` (or ``…_TRACES_ENDPOINT``) is set, and cost next to nothing otherwise.
"""

import asyncio
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import orjson
from opentelemetry import trace
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR: Final = TraceContextTextMapPropagator()
_OTLP_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

tracer: Final = trace.get_tracer("facescan")
# Whether anybody has the spans; to ask the library took two microseconds, several times for each message.
_exporting: Final = threading.Event()


# What the standard library puts into each record; the rest is what the caller wants said.
_OWN_FIELDS: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One JSON object a line. The front door writes one for each message: a formatter for all needs took 10 µs more."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        line: dict[str, Any] = {
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "service": self._service,
        }
        line.update({name: value for name, value in record.__dict__.items() if name not in _OWN_FIELDS})
        if record.exc_info:
            line["exc_info"] = self.formatException(record.exc_info)
        line["time"] = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
        try:
            return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        except orjson.JSONEncodeError:  # a lone surrogate, an integer beyond 64 bits: escaped, and never lost
            return json.dumps(line, default=str)


class _Line(logging.LogRecord):
    """A log record with what a line says and no more: where in the code it was made took half of its time."""

    pathname = filename = module = funcName = ""  # noqa: N815 - the standard library's names
    lineno = 0
    thread = threadName = process = processName = taskName = exc_text = None  # noqa: N815

    def __init__(
        self, name: str, level: int, _path: str, _line: int, msg: object, args: Any, exc_info: Any,
        _function: str | None = None, stack: str | None = None, **_more: object,
    ) -> None:  # fmt: skip
        """See logging.LogRecord, which has a mapping alone as the arguments themselves."""
        self.name, self.msg, self.levelno, self.levelname = name, msg, level, logging.getLevelName(level)
        self.args = args[0] if args and len(args) == 1 and isinstance(args[0], Mapping) and args[0] else args
        self.exc_info, self.stack_info = exc_info, stack
        self.created = time.time()


class _Lines(logging.StreamHandler[TextIO]):
    """Writes what is said in one turn of an event loop at once; a warning, or what has no loop, without waiting."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._waiting: list[str] = []
        self._due_in: asyncio.AbstractEventLoop | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        try:
            self._waiting.append(self.format(record))
            loop = asyncio._get_running_loop() if record.levelno < logging.WARNING else None
            if loop is None:
                self.flush()
            elif loop is not self._due_in:
                self._due_in = loop
                loop.call_soon(self.flush)
        except Exception:  # noqa: BLE001 - as the standard library's own do: a log line ends nothing
            self.handleError(record)

    def flush(self) -> None:
        """Write what waits."""
        with self.lock or nullcontext():
            lines, self._waiting, self._due_in = self._waiting, [], None
            if lines:
                self.stream.write("\n".join(lines) + "\n")
            super().flush()


def set_up_logs(service: str, level: str) -> None:
    """Send every log record of this process to standard error as JSON."""
    logging.setLogRecordFactory(_Line)
    handler = _Lines(sys.stderr)
    handler.setFormatter(JsonLines(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Asked anew for every line and written in none: where in the code, and in which thread and process.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # Their reports of a broker that is away repeat many times a second; ours say it once.
    for noisy in ("botocore", "urllib3", "faststream"):
        logging.getLogger(noisy).setLevel(max(logging.getLevelName(level), logging.WARNING))
    # They report each refused connection, thirty lines a second while a broker is away; a wait of ours is one line.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def set_up_traces(service: str, version: str) -> None:
    """Export spans by OTLP over HTTP when one of the standard variables names an endpoint."""
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        _exporting.set()  # an agent that started this process has set one
        return
    if not any(os.environ.get(name) for name in _OTLP_VARIABLES):
        return
    # Imported here because the exporter costs memory that a service without tracing need not spend.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(
        resource=Resource.create({"service.name": f"facescan-{service}", "service.version": version})
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    export_to(provider)


def export_to(provider: trace.TracerProvider) -> None:
    """Let ``provider`` have the spans of this process, from now on and for good."""
    trace.set_tracer_provider(provider)
    _exporting.set()


def flush_traces() -> None:
    """Send what is still buffered, before the process ends."""
    shutdown = getattr(trace.get_tracer_provider(), "shutdown", None)
    if shutdown is not None:
        shutdown()


def open_span(name: str, *, kind: SpanKind = SpanKind.INTERNAL) -> trace.Span | None:
    """Begin a span that its caller ends, for what begins in one callback and ends in another; None when none hears."""
    return None if untraced() else tracer.start_span(name, kind=kind)


@contextmanager
def within(opened: trace.Span | None) -> Iterator[None]:
    """Run the block inside a span of ``open_span``, which goes on after it."""
    if opened is None:
        yield
    else:
        with trace.use_span(opened, record_exception=False, set_status_on_exception=False):
            yield


def traceparent_of(opened: trace.Span | None) -> str | None:
    """Return the ``traceparent`` of a span of ``open_span``."""
    if opened is None:
        return None
    with within(opened):
        return current_traceparent()


def current_traceparent() -> str | None:
    """Return the current span's W3C ``traceparent``, or None when nothing is traced."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent")


def _remote(traceparent: str | None) -> SpanContext | None:
    if not traceparent:
        return None
    context = trace.get_current_span(_PROPAGATOR.extract({"traceparent": traceparent})).get_span_context()
    return context if context.is_valid else None


def untraced(traceparent: str | None = None) -> bool:
    """Whether a span with this parent would be neither exported nor passed on, so that it need not be made."""
    return traceparent is None and not _exporting.is_set()


@contextmanager
def span(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    parent: str | None = None,
    links: tuple[str | None, ...] = (),
    attributes: Mapping[str, str | int | float | bool] | None = None,
) -> Iterator[trace.Span]:
    """Run the block in a span; ``parent`` and ``links`` are traceparents of other processes.

    An exception marks the span as failed by the name of its type alone: its text may hold what a sender wrote.
    """
    if not links and untraced(parent):
        # Nothing is exported and nothing is passed on: a verification has twenty such spans around its store calls.
        yield trace.INVALID_SPAN
        return
    remote = _remote(parent)
    context = trace.set_span_in_context(trace.NonRecordingSpan(remote)) if remote else None
    linked = [Link(found) for link in links if (found := _remote(link))]
    with tracer.start_as_current_span(
        name, context=context, kind=kind, links=linked, attributes=attributes, record_exception=False,
        set_status_on_exception=False,
    ) as current:  # fmt: skip
        try:
            yield current
        except BaseException as error:
            current.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


__all__ = [
    "SpanKind",
    "current_traceparent",
    "flush_traces",
    "open_span",
    "set_up_logs",
    "set_up_traces",
    "span",
    "traceparent_of",
    "tracer",
    "untraced",
    "within",
]
