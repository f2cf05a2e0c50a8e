"""One trace for one verification, over every hop: HTTP, Kafka, the delay-free way to the answer."""

from contextlib import ExitStack
from pathlib import Path

from bench.load import SUCCESS, Load
from cli.peers import Peers
from tests.e2e.conftest import start_system
from tests.support.trace_collector import collecting

# From the accepted message to the delivered answer: (service, span).
STEPS = {
    ("facescan-inbox", "POST /inbox"),
    ("facescan-inbox", "route"),
    ("facescan-session", "process facescan.verification.requested"),
    ("facescan-session", "scan page look"),
    ("facescan-session", "scan page start"),
    ("facescan-session", "scan page done"),
    ("facescan-verdict", "process facescan.capture.completed"),
    ("facescan-async_post", "sign"),
    ("facescan-async_post", "process facescan.post.signed"),
}


def test_every_hop_of_a_verification_is_in_one_trace(tmp_path: Path) -> None:
    """The services pass the trace on by Kafka and keep it for the page, so an operator sees the whole of it at once."""
    with collecting() as collector:
        with ExitStack() as open_parts:
            settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
            running = start_system(tmp_path, open_parts, kafka=None, settings=settings)

            async def work(load: Load, _peers: Peers) -> None:
                await load.enrol((SUCCESS,))
                (one,) = await load.run(1, 1)
                assert one.results == ["SUCCESS"]

            running.drive(work)
        # Each service has sent what was left when it stopped.
        (door,) = (span for span in collector.spans if span.name == "POST /inbox")
        seen = {(span.service, span.name) for span in collector.spans if span.trace_id == door.trace_id}
        assert seen >= STEPS, STEPS - seen
