"""A real Prometheus that judges our alert rules on running processes, in a time that a test has.

Every range, offset and ``for`` of the rules is shortened by one factor; what they compare stays as it is, but for the
two ages that a test would have to wait for.
"""

import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import yaml

from cli.ports import free_ports
from deploy.alerts import rules

FASTER: Final = 60
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION: Final = re.compile(r"(?P<before>\[|offset )(?P<count>\d+)(?P<unit>[smhd])")
# What an expression compares with an age that only waiting makes: 60 s in Kafka, 600 s without a look at the keys.
_AGES: Final = {
    "FacescanRecordsWait": ("> 60", "> 3"),
    "FacescanKeyRingNotRead": ("> 600", "> 10"),
}
_START_SECONDS: Final = 60.0


class PrometheusMissingError(Exception):
    """Raised when Prometheus is not installed."""


def shortened_rules() -> dict[str, Any]:
    """Return the product's rules, so many times faster."""
    groups = rules()["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        rule["expr"] = _DURATION.sub(_shorter, rule["expr"])
        if "for" in rule:
            rule["for"] = _shortened(int(rule["for"][:-1]), rule["for"][-1])
        if rule["alert"] in _AGES:
            old, new = _AGES[rule["alert"]]
            assert rule["expr"].endswith(old), rule
            rule["expr"] = rule["expr"].removesuffix(old) + new
    return {"groups": groups}


def _shorter(found: re.Match[str]) -> str:
    return found["before"] + _shortened(int(found["count"]), found["unit"])


def _shortened(count: int, unit: str) -> str:
    return f"{count * _SECONDS[unit] * 1000 // FASTER}ms"


class Prometheus:
    """Scrapes ``targets`` (name to host:port) every second and evaluates the shortened rules as often."""

    def __init__(self, folder: Path, targets: Mapping[str, str]) -> None:
        self._folder = folder
        self._targets = targets
        (port,) = free_ports(1)
        self._address = f"127.0.0.1:{port}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        program = shutil.which("prometheus")
        if program is None:
            raise PrometheusMissingError("prometheus is not installed (Debian: prometheus)")
        self._folder.mkdir(parents=True)
        (self._folder / "rules.yml").write_text(yaml.safe_dump(shortened_rules()))
        second = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        jobs = [{"targets": [address], "labels": {"role": name}} for name, address in self._targets.items()]
        config = {
            "global": second,
            "rule_files": ["rules.yml"],
            "scrape_configs": [{"job_name": "facescan", "static_configs": jobs}],
        }
        (self._folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    f"--config.file={self._folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    f"--web.listen-address={self._address}",
                    "--query.lookback-delta=5s",
                    "--log.level=warn",
                ],
                stdout=log,
                stderr=log,
            )
        self._until(lambda: len(self.rules()) > 0, "Prometheus has not started")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)

    def rules(self) -> list[dict[str, Any]]:
        """Return each rule as Prometheus has it: state, health, last error."""
        return [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]

    def firing(self) -> set[str]:
        """Return the alerts that fire now."""
        return {alert["labels"]["alertname"] for alert in self._ask("alerts")["alerts"] if alert["state"] == "firing"}

    def has_fired(self) -> set[str]:
        """Return the alerts that have fired since the start, those that have ended included."""
        found = self._ask("query", query='max by (alertname) (max_over_time(ALERTS{alertstate="firing"}[1h]))')
        return {one["metric"]["alertname"] for one in found["result"]}

    def value(self, query: str) -> Any:
        """Return what a query finds now."""
        return self._ask("query", query=query)["result"]

    def _ask(self, what: str, **parameters: str) -> Any:
        query = urllib.parse.urlencode(parameters)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{self._address}/api/v1/{what}?{query}", timeout=10) as answer:
            return json.load(answer)["data"]

    def _until(self, wanted: Callable[[], bool], why: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                if wanted():
                    return
            except OSError as error:
                said = str(error)
            else:
                said = "no rules"
            log = (self._folder / "prometheus.log").read_text()[-2000:]
            assert time.monotonic() < deadline, f"{why}: {said}\n{log}"
            time.sleep(0.1)
