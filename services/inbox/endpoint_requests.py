"""What an endpoint is told beside the message: the same headers for those that are called now and those that wait."""

from collections.abc import Mapping

from shared.events import MESSAGE_TYPE
from shared.telemetry import current_traceparent


def request_headers(message_id: str, source: str, subject: str) -> Mapping[str, str]:
    """Return the headers of a request: the Idempotency-Key, and the attributes of a CloudEvent in binary mode.

    ``message_id`` is the same for every repeat of a message at an endpoint.
    """
    headers = {
        "Idempotency-Key": message_id,
        "ce-specversion": "1.0",
        "ce-id": message_id,
        "ce-type": MESSAGE_TYPE,
        "ce-source": source,
        "ce-subject": subject,
    }
    traceparent = current_traceparent()
    return headers if traceparent is None else {**headers, "traceparent": traceparent}
