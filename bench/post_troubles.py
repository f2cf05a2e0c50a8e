"""Async Post among receivers in trouble, under a backlog, and killed: parts of ``bench.post``."""

import argparse
import asyncio
import os
import signal
import time
from statistics import median
from typing import Any, Final

from bench.load import percentile
from bench.post_bench import Bench, Post, cpu_seconds, resident_mebibytes
from shared.keys import SigningKey

_SHARE: Final = 10  # one of so many receivers hangs
_BACK_SECONDS: Final = 60.0
_PUT_AWAY_SECONDS: Final = 1200.0
# Messages a second, when no rate is given.
_RATE: Final = 1500.0


def _rate(options: argparse.Namespace) -> float:
    return options.rate or _RATE


def _late(bench: Bench, hanging: int) -> list[float]:
    """Return the milliseconds of what came to the receivers that do not hang."""
    return [late / 1000 for number, late in bench.receivers.ask("figures")["came"] if number >= hanging]


async def _quiet_and_troubled(bench: Bench, post: Post, options: argparse.Namespace, seconds: float) -> dict[str, Any]:
    hanging, rate, count = bench.count // _SHARE, _rate(options), options.count
    await post.requests.publish(count, rate)
    await asyncio.sleep(1)
    quiet = _late(bench, hanging)
    before = resident_mebibytes(post.pid)
    bench.receivers.ask(f"hang {hanging} {seconds}")
    peak, publishing = before, asyncio.create_task(post.requests.publish(count, rate))
    while not publishing.done():
        await asyncio.sleep(0.2)
        peak = max(peak, resident_mebibytes(post.pid))
    await publishing
    await asyncio.sleep(1)
    troubled = _late(bench, hanging)
    bench.receivers.ask("hang 0 0")
    return {
        "p95_milliseconds_quiet": round(percentile(quiet, 0.95), 1),
        "p95_milliseconds_troubled": round(percentile(troubled, 0.95), 1),
        "ratio_of_p95": round(percentile(troubled, 0.95) / percentile(quiet, 0.95), 2),
        "came_of_the_healthy": [len(quiet), len(troubled)],
        "mebibytes": [round(before, 1), round(peak, 1)],
    }


async def hang(bench: Bench, key: SigningKey, options: argparse.Namespace) -> dict[str, Any]:
    """Return what the healthy notice of the others, in each run, and the memory before and at its most."""
    found = {}
    for run in range(options.runs):
        async with bench.post(key) as post:
            await post.measure(options.warm, _rate(options))
            found[f"run {run + 1}"] = await _quiet_and_troubled(bench, post, options, options.hang)
    return found


async def waiting(bench: Bench, key: SigningKey, options: argparse.Namespace) -> dict[str, Any]:
    """Return CPU a healthy message and memory, before and while many messages wait for one dead receiver."""
    found, rate = {}, _rate(options)
    async with bench.post(key) as post:
        await post.measure(options.warm, rate)
        microseconds, late = await post.measure(options.count, rate)
        found["none"] = _figures(post, microseconds, late)
        bench.receivers.ask("hang 1 3600")
        await post.requests.publish(options.waiting, None, only=0)
        # Behind them in every partition: when these have come, all that waits has been seen and put away once.
        bench.receivers.ask("figures")
        await post.requests.publish(bench.count)
        await bench.receivers.until(bench.count - 1, _PUT_AWAY_SECONDS)
        bench.receivers.ask("figures")
        # The first receiver's own share of the load does not come.
        began, healthy = cpu_seconds(post.pid), options.count - -(-options.count // bench.count)
        await post.requests.publish(options.count, rate)
        await bench.receivers.until(healthy)
        await asyncio.sleep(0.5)
        microseconds = (cpu_seconds(post.pid) - began) / healthy * 1e6
        found[str(options.waiting)] = _figures(post, microseconds, _late(bench, 1))
    return found


def _figures(post: Post, microseconds: float, late: list[float]) -> dict[str, Any]:
    return {
        "microseconds": round(microseconds),
        "p95_milliseconds": round(percentile(late, 0.95), 1),
        "mebibytes": round(resident_mebibytes(post.pid), 1),
    }


async def peers(bench: Bench, key: SigningKey, options: argparse.Namespace) -> dict[str, Any]:
    """Return what was measured of peers: a drain, the latency at 200 a second, a kill while draining."""
    drains, latencies, kills = [], [], []
    for _ in range(options.runs):
        async with bench.post(key) as post:
            await post.measure(options.warm, None)
            drains.append(await _drain(bench, post, options))
            _, late = await post.measure(min(options.count, 4000), 200.0)
            latencies.append([percentile(late, share) for share in (0.5, 0.95, 0.99)])
            kills.append(await _killed(bench, post, options.count))
    return {
        "drain": {name: median(run[name] for run in drains) for name in drains[0]},
        "milliseconds at 200/s": {
            f"p{share}": round(median(run[place] for run in latencies), 1) for place, share in enumerate((50, 95, 99))
        },
        "kill -9 while draining": {
            "lost": sum(lost for lost, _ in kills),
            "complete_after_seconds": round(median(seconds for _, seconds in kills), 1),
        },
    }


async def _drain(bench: Bench, post: Post, options: argparse.Namespace) -> dict[str, float]:
    """Let it stand still while a backlog is written, then deliver that."""
    os.kill(post.pid, signal.SIGSTOP)
    await post.requests.publish(options.count)
    pids = [post.pid, *([options.kafka_pid] if options.kafka_pid else [])]
    before = sum(map(cpu_seconds, pids))
    began = time.monotonic()
    os.kill(post.pid, signal.SIGCONT)
    await bench.receivers.until(options.count)
    took = time.monotonic() - began
    await asyncio.sleep(0.5)
    bench.receivers.ask("figures")
    used = (sum(map(cpu_seconds, pids)) - before) / options.count * 1000
    memory = resident_mebibytes(post.pid)
    return {"a_second": round(options.count / took), "cpu_seconds_per_1000": round(used, 3), "mebibytes": round(memory)}


async def _killed(bench: Bench, post: Post, count: int) -> tuple[int, float]:
    """Kill it when a third of a backlog has come and start it again; return how many are lost, and the seconds."""
    before = bench.receivers.ask("count")["distinct"]
    await post.requests.publish(count)
    await bench.receivers.until(count // 3)
    await asyncio.to_thread(post.kill)
    began = time.monotonic()
    await asyncio.to_thread(post.start)
    missing = count
    while missing and time.monotonic() - began < _BACK_SECONDS:
        await asyncio.sleep(0.05)
        missing = count - (bench.receivers.ask("count")["distinct"] - before)
    took = time.monotonic() - began
    bench.receivers.ask("figures")
    return missing, took
