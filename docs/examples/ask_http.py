"""Asks for a verification over HTTP and waits for the signed webhook: python ask_http.py GATEWAY LOCATOR PORT.

The token and the webhook's secret are in the environment: CLIENT_TOKEN and WEBHOOK_SECRET.
"""

import json
import os
import sys
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

outcomes: dict[str, str] = {}


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            told = Webhook(os.environ["WEBHOOK_SECRET"]).verify(body, dict(self.headers))
        except WebhookVerificationError:
            self.send_response(400)
        else:
            # A webhook may come twice: kept by id, the second changes nothing.
            outcomes[told["data"]["verification_id"]] = told["data"]["outcome"]
            self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def ask(gateway: str, locator: str) -> str:
    request = urllib.request.Request(
        f"{gateway}/v1/verifications",
        json.dumps({"locator": locator, "purpose": "open an account"}).encode(),
        {
            "Authorization": f"Bearer {os.environ['CLIENT_TOKEN']}",
            "Content-Type": "application/json",
            # Kept with the order that it is for: after a failure the same request is sent again under the same key.
            "Idempotency-Key": str(uuid.uuid4()),
        },
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["verification_id"]


if __name__ == "__main__":
    receiver = HTTPServer(("127.0.0.1", int(sys.argv[3])), Receiver)
    verification_id = ask(sys.argv[1], sys.argv[2])
    while verification_id not in outcomes:
        receiver.handle_request()
    print(outcomes[verification_id])
