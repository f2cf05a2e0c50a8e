"""``facescan send``: sign a message and post it."""

import http.client
import json
import urllib.error
import urllib.request
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from cli.connection import inbox_url
from cli.output import emit, json_option
from shared.envelope import EnvelopeError, parse, seal
from shared.errors import ConfigurationError, UnavailableError
from shared.generation import Generation
from shared.keys import KeyRecordError, SigningKey

_MEMBERS: Final = ("To", "Subject", "Body", "Correlation")
_TIMEOUT_SECONDS: Final = 30
_MOST_ANSWER_BYTES: Final = 65_536


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """An inbox answers itself: a signed message is not carried elsewhere."""

    def redirect_request(self, *_args: Any, **_named: Any) -> None:
        return None


@click.command()
@click.option(
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON with To, Subject, Body and optionally Correlation; options win over it.",
)
@click.option("--to", help="The receiving domain.")
@click.option("--subject", help="Method@Role.")
@click.option("--body", metavar="JSON", help="The Body, a JSON object.")
@click.option("--correlation", help="A UUID; a new one when left out.")
@click.option("--from", "sender", required=True, help="The sending domain.")
@click.option("--selector", required=True, help="The selector under which its key stands in DNS.")
@click.option(
    "--key",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Private key, PEM (PKCS#8).",
)
@click.option(
    "--generation", default="nlweb", show_default=True, type=click.Choice([kind.value for kind in Generation])
)
@click.option("--inbox", metavar="URL", help="Where to post; the running workbench's inbox when left out.")
@json_option
def send(
    *,
    file: Path | None,
    to: str | None,
    subject: str | None,
    body: str | None,
    correlation: str | None,
    sender: str,
    selector: str,
    key: Path,
    generation: str,
    inbox: str | None,
    as_json: bool,
) -> int:
    """Sign a message of either generation, post it to an inbox, print the status and the answer.

    Exit code 0 for an answer of 2xx, 1 for any other.

    \b
    Example:
      facescan send --from shop.example --selector pw1 --key shop.pem --to id.example \\
        --subject VerifyLocator@Identity --body '{"Locator": "…"}' --inbox http://127.0.0.1:8080/inbox
    """  # noqa: D301 - \b is click's mark for lines that are not to be wrapped
    members = _from_file(file) if file else {}
    given = {
        "To": to,
        "Subject": subject,
        "Body": _object("--body", body) if body else None,
        "Correlation": correlation,
    }
    members |= {name: value for name, value in given.items() if value is not None}
    if missing := [name for name in _MEMBERS[:3] if name not in members]:
        options = ", ".join(f"--{name.lower()}" for name in missing)
        raise ConfigurationError(f"{', '.join(missing)} missing: give {options}, or --file with these members")
    message = _sealed(members, sender, Generation(generation), _read_key(key, selector))
    status, answer = post(_url(inbox_url(inbox)), message)
    correlation = parse(message).correlation
    document = {"status": status, "correlation": correlation, "answer": answer}
    emit(document, f"{status}  {answer}\nCorrelation: {correlation}", as_json=as_json)
    return 0 if status // 100 == 2 else 1  # noqa: PLR2004 - HTTP's class of successes


def post(url: str, message: bytes) -> tuple[int, str]:
    """Post a message; return status and body of whatever answer. Raises UnavailableError when there is none."""
    request = urllib.request.Request(url, message, {"Content-Type": "application/json"})  # noqa: S310 - checked: http(s)
    # No proxy for this machine's own addresses, whatever the environment says of proxies.
    local = urlsplit(url).hostname in {"127.0.0.1", "::1", "localhost"}
    opener = urllib.request.build_opener(_NoRedirects, *([urllib.request.ProxyHandler({})] if local else []))
    try:
        with opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
            return response.status, response.read(_MOST_ANSWER_BYTES).decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read(_MOST_ANSWER_BYTES).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise UnavailableError(f"{url}: no answer: {reason}") from error


def _sealed(members: dict[str, Any], sender: str, generation: Generation, key: SigningKey) -> bytes:
    """Return the signed message, checked like a receiver does. Raises ConfigurationError naming the member."""
    try:
        message = seal(
            generation=generation,
            sender=sender,
            receiver=members["To"],
            subject=members["Subject"],
            body=members["Body"],
            correlation=members.get("Correlation") or str(uuid.uuid4()),
            timestamp=datetime.now(UTC),
            key=key,
        )
        parse(message)
    except EnvelopeError as error:
        raise ConfigurationError(f"the message: {error}") from error
    return message


def _from_file(path: Path) -> dict[str, Any]:
    try:
        members = _object(str(path), path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'not UTF-8'}"
        ) from error
    if unknown := [name for name in members if name not in _MEMBERS]:
        raise ConfigurationError(f"{path}: {unknown[0]}: no such member; there are {', '.join(_MEMBERS)}")
    if not isinstance(members.get("Body", {}), dict):
        raise ConfigurationError(f"{path}: Body: not an object")
    return members


def _object(where: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"{where}: no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigurationError(f"{where}: no JSON object")
    return value


def _read_key(path: Path, selector: str) -> SigningKey:
    try:
        return SigningKey.from_pem(selector, path.read_text())
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except (UnicodeDecodeError, KeyRecordError) as error:
        # Without the cause: it may hold what the file holds.
        reason = str(error) if isinstance(error, KeyRecordError) else "not a private key in PEM"
        raise ConfigurationError(f"{path}: {reason}") from None


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"--inbox: {text!r} is no http(s) URL")
    return text
