"""The session service killed with -9 at each state of a verification, between the write and its answer."""

import asyncio
import json
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from bench.load import SUCCESS, Load
from cli.peers import SHOP, Peers
from shared.verification import State
from tests.e2e.conftest import Running, start_system
from tests.e2e.somebody import somebody
from tests.support.store_gate import store_gate
from tests.unit.emulators.processes import running as running_emulator

# The one whose locator is unknown waits for so long; the others are through before.
SETTINGS = {"FACESCAN_VERIFICATION_SECONDS": "45"}
ANSWER_SECONDS = 120
# Of a verification of which a one-time password is asked besides the face; the others are those of any.
BY_CODE = (State.ASKED, State.ANSWERED)
TERMS = {"rules": [{"purpose": "by code", "least_proof": "scan and code"}]}


@pytest.mark.kafka
def test_a_session_service_killed_right_after_each_state_is_written_leaves_one_right_answer_each(
    real_kafka: str, tmp_path: Path
) -> None:
    """``requested`` is a locator of nobody's, which ends at its deadline; the others are the owner, who succeeds."""
    with ExitStack() as open_parts:
        _, aws = open_parts.enter_context(running_emulator("emulators.aws", "--port", "0"))
        gate = open_parts.enter_context(store_gate(f"http://{aws}"))
        terms = tmp_path / "terms.json"
        terms.write_text(json.dumps(TERMS))
        settings = SETTINGS | {"AWS_ENDPOINT_URL_DYNAMODB": gate.url, "FACESCAN_VERDICT_TERMS": str(terms)}
        running = start_system(tmp_path, open_parts, kafka=real_kafka, aws=f"http://{aws}", settings=settings)
        killed: list[State] = []

        def kill_at(state: State) -> threading.Event:
            done = threading.Event()

            def kill() -> None:
                running.workbench.kill("session")
                killed.append(state)
                done.set()

            gate.once(state, kill)
            return done

        def wait_until_back(done: threading.Event) -> None:
            assert done.wait(60), f"{killed} were written, and then nothing"
            time.sleep(0.2)  # until the dead one no longer answers
            running.workbench.wait_ready("session")

        async def work(load: Load, peers: Peers) -> dict[State, list[str]]:
            await load.enrol((SUCCESS,), persons_each=1)
            asked: dict[State, str] = {}
            for state in State:
                known = state is not State.REQUESTED
                locator = load.locator(SUCCESS) if known else str(uuid4())
                if state in BY_CODE:  # somebody else each time: a code is good once
                    owner = await somebody(running, peers)
                    await owner.behave(authenticator=await owner.authenticator())
                    locator = owner.locator
                done = kill_at(state)
                asked[state] = await _ask(running, peers, locator, "by code" if state in BY_CODE else "to enter")
                began = time.monotonic()
                await asyncio.to_thread(wait_until_back, done)
                back = time.monotonic() - began
                if known:
                    await peers.answer(SHOP, asked[state], ANSWER_SECONDS)
                print(f"{state}: back after {back:.1f} s, answered after {time.monotonic() - began:.1f} s")
            await peers.answer(SHOP, asked[State.REQUESTED], ANSWER_SECONDS)
            await asyncio.sleep(1)  # a second answer would come about now, if there were one
            messages = [one for one in await peers.messages(SHOP) if one["verified"] and not one["duplicate"]]
            told = [one["message"]["Body"] for one in messages]
            return {state: [body["Result"] for body in told if body.get("Request") == asked[state]] for state in State}

        results = running.drive(work)
    assert killed == list(State)
    assert results == {state: ["FAILURE" if state is State.REQUESTED else "SUCCESS"] for state in State}


async def _ask(running: Running, peers: Peers, locator: str, purpose: str) -> str:
    correlation = str(uuid4())
    order = {"inbox": running.demo.inbox, "to": running.demo.domain, "locator": locator, "correlation": correlation}
    order["purpose"] = purpose
    until = time.monotonic() + ANSWER_SECONDS
    while True:  # as a real asking domain would: the same message again when it was not taken
        answer = (await peers.ask(SHOP, order))["answers"][0]
        if answer["status"] == 200:
            return correlation
        assert time.monotonic() < until, answer
        await asyncio.sleep(1)
