"""Sending a signed message by hand."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import main
from shared.envelope import parse
from shared.generation import Generation
from shared.keys import SigningKey


class Inbox(HTTPServer):
    """Answers every message as told and keeps it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.messages: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/inbox"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        inbox = self.server
        assert isinstance(inbox, Inbox)
        inbox.messages.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(inbox.status)
        if inbox.status // 100 == 3:
            self.send_header("Location", inbox.url)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_args: object) -> None:
        return


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with Inbox() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SigningKey:
    monkeypatch.chdir(tmp_path)
    key = SigningKey.generate("s1")
    (tmp_path / "key.pem").write_text(key.to_pem())
    return key


def send(*arguments: str) -> Result:
    return CliRunner().invoke(
        main, ["send", "--from", "shop.example", "--selector", "s1", "--key", "key.pem", *arguments]
    )


REQUEST = ("--to", "id.example", "--subject", "VerifyLocator@Identity", "--body", '{"Locator": "L"}')


@pytest.mark.parametrize("generation", list(Generation))
def test_a_message_of_either_generation_is_signed_and_posted(
    inbox: Inbox, key: SigningKey, generation: Generation
) -> None:
    result = send(*REQUEST, "--generation", generation.value, "--inbox", inbox.url)
    assert result.exit_code == 0, result.output
    message = parse(inbox.messages[0])
    assert message.generation is generation
    assert message.hash_matches()
    assert message.signed_by(key.private.public_key())
    assert message.correlation in result.stdout


def test_members_come_from_a_file_and_options_win_over_it(inbox: Inbox, key: SigningKey, tmp_path: Path) -> None:
    correlation = "125a5c75-cb72-43d2-9695-37026dfcaa48"
    members = {"To": "other.example", "Subject": "A@B", "Body": {"x": 1}, "Correlation": correlation}
    (tmp_path / "message.json").write_text(json.dumps(members))
    result = send("--file", "message.json", "--to", "id.example", "--inbox", inbox.url, "--json")
    assert json.loads(result.stdout) == {"status": 200, "correlation": correlation, "answer": "{}"}
    message = parse(inbox.messages[0])
    assert (message.receiver, message.subject, message.body) == ("id.example", "A@B", {"x": 1})
    assert message.selector == key.selector


@pytest.mark.parametrize("status", [307, 401, 503])
@pytest.mark.usefixtures("key")
def test_any_answer_but_2xx_is_exit_code_1_and_no_redirect_is_followed(inbox: Inbox, status: int) -> None:
    inbox.status = status
    result = send(*REQUEST, "--inbox", inbox.url)
    assert result.exit_code == 1
    assert result.stdout.startswith(f"{status}  ")
    assert len(inbox.messages) == 1


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ((*REQUEST[:4], "--inbox", "http://x"), "Body missing: give --body, or --file with these members"),
        ((*REQUEST[:5], "[]", "--inbox", "http://x"), "--body: no JSON object"),
        ((*REQUEST, "--to", "nodots", "--inbox", "http://x"), "Header.To: 'nodots' is no domain name"),
        ((*REQUEST, "--correlation", "7", "--inbox", "http://x"), "Header.Correlation: not a UUID"),
        ((*REQUEST, "--inbox", "ftp://x"), "--inbox: 'ftp://x' is no http(s) URL"),
        (REQUEST, "no inbox is known: run `facescan up` in this folder, or give --inbox URL"),
    ],
)
def test_a_message_that_no_inbox_would_take_is_not_sent(arguments: tuple[str, ...], what: str) -> None:
    result = send(*arguments)
    assert result.exit_code == 2
    assert what in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("content", [b"no key", b"\x89PNG"])
@pytest.mark.usefixtures("key")
def test_a_file_that_is_no_key_is_named_and_never_shown(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key.pem").write_bytes(content)
    result = send(*REQUEST, "--inbox", "http://x")
    assert result.exit_code == 2
    assert result.stderr == "facescan send: key.pem: not a private key in PEM\n"
