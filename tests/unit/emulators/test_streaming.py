"""The streaming stand-in: frames, signatures and the dialogue, spoken by a client of the test's own over real TLS."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from emulators.certificates import CA_FILE, make_authority
from emulators.event_stream import Frame, FrameError, decode, encode
from emulators.signed_streams import SignedStream
from tests.unit.emulators.clients import any_client, rekognition_client, side_door
from tests.unit.emulators.processes import free_port, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UTC = datetime.UTC
PATH = "/start-face-liveness-session-websocket"
WEBM = b"\x1a\x45\xdf\xa3" + bytes(100)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
values = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.binary(max_size=50)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
    | st.integers(0, 2**41).map(
        lambda ms: datetime.datetime(1970, 1, 1, tzinfo=UTC) + datetime.timedelta(milliseconds=ms)
    )
)


@given(st.dictionaries(names, values, max_size=5), st.binary(max_size=200))
def test_a_frame_is_read_as_it_was_written(headers: dict[str, Any], payload: bytes) -> None:
    assert decode(encode(Frame(headers, payload))) == Frame(headers, payload)


@settings(max_examples=200)
@given(st.binary(max_size=120), st.integers(0, 60), st.integers(1, 255))
def test_harmed_frames_and_garbage_are_refused_and_break_nothing(garbage: bytes, place: int, change: int) -> None:
    with pytest.raises(FrameError):
        decode(garbage)
    whole = bytearray(encode(Frame({"a": "b"}, b"c" * 40)))
    whole[place] ^= change
    with pytest.raises(FrameError):
        decode(bytes(whole))


class Emulated:
    """The emulated AWS with its streaming endpoint, and what a signing client needs."""

    def __init__(self, url: str, port: int, world: Path) -> None:
        self.url, self.port = url, port
        self.tls = ssl.create_default_context(cafile=world / CA_FILE)
        self.rekognition = rekognition_client(url)

    def session(self, challenge: str = "FaceMovementChallenge", token: str = "") -> str:
        preferences: Any = [{"Type": challenge}]
        named: Any = {"ClientRequestToken": token} if token else {}
        made = self.rekognition.create_face_liveness_session(Settings={"ChallengePreferences": preferences}, **named)
        return made["SessionId"]

    def status(self, session_id: str) -> str:
        return str(self.rekognition.get_face_liveness_session_results(SessionId=session_id)["Status"])

    def credentials(self, action: str = "rekognition:StartFaceLivenessSession") -> dict[str, str]:
        policy = orjson.dumps({"Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}).decode()
        role = "arn:aws:iam::123456789012:role/x"
        answer = any_client("sts", self.url).assume_role(RoleArn=role, RoleSessionName="test", Policy=policy)
        given: dict[str, str] = answer["Credentials"]
        return given

    def address(
        self, session_id: str, given: dict[str, str], *, age_seconds: float = 0, secret: str = ""
    ) -> tuple[str, SignedStream]:
        now = datetime.datetime.now(UTC) - datetime.timedelta(seconds=age_seconds)
        date, scope = now.strftime("%Y%m%dT%H%M%SZ"), f"{now:%Y%m%d}/eu-west-1/rekognition/aws4_request"
        query = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": f"{given['AccessKeyId']}/{scope}",
            "X-Amz-Date": date, "X-Amz-Expires": "299", "X-Amz-Security-Token": given["SessionToken"],
            "X-Amz-SignedHeaders": "host", "session-id": session_id, "video-width": "640", "video-height": "480",
            "challenge-versions": "FaceMovementAndLightChallenge_2.0.0,FaceMovementChallenge_1.0.0",
        }  # fmt: skip
        sorted_query = "&".join(f"{name}={quote(value, safe='')}" for name, value in sorted(query.items()))
        key = f"AWS4{secret or given['SecretAccessKey']}".encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        canonical = f"GET\n{PATH}\n{sorted_query}\nhost:127.0.0.1\n\nhost\n{hashlib.sha256(b'').hexdigest()}"
        text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        url = f"wss://127.0.0.1:{self.port}{PATH}?{sorted_query}&X-Amz-Signature={signature}"
        return url, SignedStream(key, scope, signature)


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    world, port = tmp_path_factory.mktemp("world"), free_port()
    make_authority(world)
    options = ("--port", "0", "--streaming-port", str(port), "--world", str(world))
    with running("emulators.aws", *options) as (_, address):
        side_door(f"http://{address}", "stage", {"person": "alice", "confidence": 97.0})
        yield Emulated(f"http://{address}", port, world)


def _event(name: str, content: Any) -> bytes:
    headers = {":message-type": "event", ":event-type": name, ":content-type": "application/json"}
    return encode(Frame(dict(headers), orjson.dumps(content)))


def _video(chunk: bytes) -> bytes:
    return _event("VideoEvent", {"VideoChunk": base64.b64encode(chunk).decode(), "TimestampMillis": 1})


def _said(challenge: str, **members: Any) -> bytes:
    return _event("ClientSessionInformationEvent", {"Challenge": {challenge: {"ChallengeId": "c", **members}}})


WHOLE = (
    _said("FaceMovementChallenge", VideoStartTimestamp=1),
    _video(WEBM),
    _said("FaceMovementChallenge", VideoEndTimestamp=2),
    _video(b""),
)


async def _stream(
    emulated: Emulated, url: str, chain: SignedStream, events: tuple[bytes, ...], *, spoil: bool = False
) -> list[Frame]:
    """Open the address, say the events, return what was heard until the end."""
    async with aiohttp.ClientSession() as http, http.ws_connect(URL(url, encoded=True), ssl=emulated.tls) as socket:
        for number, said in enumerate(events):
            frame = chain.seal(said, datetime.datetime.now(UTC).replace(microsecond=0))
            if spoil and number == 1:
                frame = Frame(frame.headers, _video(WEBM + b"x"))
            await socket.send_bytes(encode(frame))
        return [decode(message.data) async for message in socket]


async def test_a_whole_check_is_filmed_as_the_stage_says(emulated: Emulated) -> None:
    session_id = emulated.session()
    url, chain = emulated.address(session_id, emulated.credentials())
    heard = await _stream(emulated, url, chain, WHOLE)
    assert [frame.headers[":event-type"] for frame in heard] == ["ServerSessionInformationEvent", "DisconnectionEvent"]
    assert emulated.status(session_id) == "SUCCEEDED"


async def test_a_chunk_that_was_changed_on_the_way_is_refused(emulated: Emulated) -> None:
    session_id = emulated.session()
    url, chain = emulated.address(session_id, emulated.credentials())
    heard = await _stream(emulated, url, chain, WHOLE, spoil=True)
    assert heard[-1].headers[":exception-type"] == "ValidationException"
    assert b"signature of a chunk" in heard[-1].payload
    assert emulated.status(session_id) == "FAILED"


async def test_a_session_takes_one_stream(emulated: Emulated) -> None:
    session_id, given = emulated.session(), emulated.credentials()
    await _stream(emulated, *emulated.address(session_id, given), WHOLE)
    assert await _stream(emulated, *emulated.address(session_id, given), ()) == []
    assert await _stream(emulated, *emulated.address("3f5a2f3e-0000-4000-8000-000000000000", given), ()) == []


async def test_a_light_challenge_without_its_colours_fails(emulated: Emulated) -> None:
    session_id = emulated.session("FaceMovementAndLightChallenge")
    challenge = "FaceMovementAndLightChallenge"
    events = (_said(challenge, VideoStartTimestamp=1), _video(WEBM), _said(challenge, VideoEndTimestamp=2), _video(b""))
    heard = await _stream(emulated, *emulated.address(session_id, emulated.credentials()), events)
    assert b"ColorSequences" in heard[0].payload
    assert emulated.status(session_id) == "FAILED"


@pytest.mark.parametrize("error", ["ThrottlingException", "ServiceQuotaExceededException"])
async def test_an_ordered_error_comes_as_a_frame(emulated: Emulated, error: str) -> None:
    side_door(emulated.url, "errors", {"operation": "StartFaceLivenessSession", "error": error, "count": 1})
    heard = await _stream(emulated, *emulated.address(emulated.session(), emulated.credentials()), ())
    assert [frame.headers.get(":exception-type") for frame in heard] == [error]


async def test_an_order_for_a_token_is_for_the_sessions_that_were_created_with_it_alone(emulated: Emulated) -> None:
    order = {"person": "bob", "confidence": 97.0, "token": "bob-", "error": "ThrottlingException"}
    side_door(emulated.url, "stage", order)
    given = emulated.credentials()
    others, bobs = emulated.session(token="alice-1"), emulated.session(token="bob-1")
    assert len(await _stream(emulated, *emulated.address(others, given), WHOLE)) == 2
    heard = await _stream(emulated, *emulated.address(bobs, given), ())
    assert [frame.headers.get(":exception-type") for frame in heard] == ["ThrottlingException"]
    create = {"operation": "CreateFaceLivenessSession", "error": "ThrottlingException", "count": 1, "token": "bob-"}
    side_door(emulated.url, "errors", create)
    assert emulated.session(token="alice-2")
    with pytest.raises(emulated.rekognition.exceptions.ThrottlingException):
        emulated.session(token="bob-2")
    assert emulated.session(token="bob-2")


@pytest.mark.parametrize("case", ["another secret", "an old address", "another action", "no such key"])
async def test_an_address_that_is_not_signed_as_it_must_be_opens_nothing(emulated: Emulated, case: str) -> None:
    given = emulated.credentials("s3:GetObject" if case == "another action" else "rekognition:StartFaceLivenessSession")
    if case == "no such key":
        given = given | {"AccessKeyId": "ASIANOBODY"}
    url, chain = emulated.address(
        emulated.session(), given, age_seconds=400 if case == "an old address" else 0,
        secret="x" if case == "another secret" else "",
    )  # fmt: skip
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await _stream(emulated, url, chain, ())
    assert refused.value.status == 403
