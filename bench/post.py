"""What Async Post costs a message and how late it comes, beside the least that a sender can do, in the same run.

    python -m bench.post                     embedded broker; Ed25519 and RSA-2048, three runs of each
    python -m bench.post --kafka HOST:PORT   a Kafka that has the topics
    python -m bench.post --hang 40           10 % of the receivers answer after 40 s: what the others notice
    python -m bench.post --waiting 10000     so many messages wait for a dead receiver: what the others notice
    python -m bench.post --peers             as peers were measured: 50 receivers; drain, latency, kill

Async Post is the service itself, signer and sender in one process. So are the limit script (``bench.post_limit``), the
receivers, each an HTTPS inbox (``bench.post_receivers``), the broker, and the load, which is this process, in an open
loop. CPU is a process's own user and system time, so it holds on a machine that has other work; latency does not.
"""

import argparse
import json
import sys
from statistics import median
from typing import Any, Final

import uvloop

from bench.inbox import keys
from bench.load import percentile
from bench.post_bench import Bench, surroundings
from bench.post_troubles import hang, peers, waiting
from shared.keys import SigningKey

# Of what a core takes of a backlog: the open loop when no rate is given.
_LOAD: Final = 0.75


async def compare(bench: Bench, key: SigningKey, options: argparse.Namespace) -> dict[str, Any]:
    """Return CPU a message of the post and of the limit under the same load (medians of the runs), and latencies.

    The same of both as fast as they can: the post with a backlog, the limit with 64 messages at a time.
    """
    post, limit, backlogs, fastest, p95s = [], [], [], [], []
    for _ in range(options.runs):
        fastest.append(await bench.limit(key, options.count))
        async with bench.post(key) as posting:
            await posting.measure(options.warm, None)
            backlog, _ = await posting.measure(options.count, None)
            backlogs.append(backlog)
            rate = (_LOAD * 1e6 / backlog if options.rate is None else options.rate) or None
            microseconds, _ = await posting.measure(options.count, rate)
            post.append(microseconds)
            limit.append(await bench.limit(key, options.count, rate))
            _, late = await posting.measure(options.count, 0.5e6 / microseconds)
            p95s.append(percentile(late, 0.95))
    return {
        "post_microseconds": round(median(post)),
        "limit_microseconds": round(median(limit)),
        "post_runs": [round(value) for value in post],
        "limit_runs": [round(value) for value in limit],
        "ratio": round(median(limit) / median(post), 2),
        "backlog_microseconds": round(median(backlogs)),
        "fastest_limit_microseconds": round(median(fastest)),
        "ratio_of_these": round(median(fastest) / median(backlogs), 2),
        "a_second_and_core": round(1e6 / median(post)),
        "p95_milliseconds_at_half_load": round(median(p95s), 1),
        "p95_runs": [round(value, 1) for value in p95s],
    }


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Start what stands around Async Post and measure."""
    wanted = keys()
    if options.key:
        wanted = {options.key: wanted[options.key]}
    async with surroundings(options.kafka, options.receivers) as bench:
        if options.hang is not None:
            return await hang(bench, wanted["Ed25519"], options)
        if options.waiting is not None:
            return await waiting(bench, wanted["Ed25519"], options)
        if options.peers:
            return await peers(bench, wanted["Ed25519"], options)
        return {name: await compare(bench, key, options) for name, key in wanted.items()}


def main() -> int:
    """Run the benchmark; exit code 1 when Async Post is further from the limit than the gate allows."""
    parser = argparse.ArgumentParser(
        prog="bench.post", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rate", type=float, help="messages a second; 0: a backlog; default: three quarters of a core")
    parser.add_argument("--count", type=int, default=6000, help="messages in each run")
    parser.add_argument("--warm", type=int, default=2000, help="messages before each run that are not counted")
    parser.add_argument("--receivers", type=int, default=200)
    parser.add_argument("--key", choices=["Ed25519", "RSA-2048"], help="this kind of key alone")
    parser.add_argument("--kafka", help="host:port of a Kafka that has the topics; the embedded broker when left out")
    parser.add_argument("--kafka-pid", type=int, help="the broker's process, whose CPU --peers counts too")
    parser.add_argument("--gate", type=float, default=0.65, help="least ratio of the limit's CPU to the post's")
    parser.add_argument("--hang", type=float, help="let 10 %% of the receivers answer after so many seconds")
    parser.add_argument("--waiting", type=int, help="let so many messages wait for a dead receiver")
    parser.add_argument("--peers", action="store_true", help="measure what was measured of peers")
    options = parser.parse_args()
    figures = uvloop.run(run(options))
    print(json.dumps(figures, indent=1))
    return 0 if all(figure.get("ratio", 1) >= options.gate for figure in figures.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
