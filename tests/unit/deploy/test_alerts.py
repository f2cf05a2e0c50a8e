"""Each alert fires for its own trouble alone, and has its page."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

import deploy
from cli.run import SERVICES
from deploy.alerts import ALERTS, GUIDE, OBJECTIVES, Objective
from deploy.dashboard import dashboard, panels
from tests.support.kafka_fixtures import leave_untested

FOLDER = Path(deploy.__file__).parent
ROOT = FOLDER.parent
PAGES = (ROOT / GUIDE).read_text()


def promtool(*arguments: str) -> str:
    """Run promtool and return what it says; fails when it is not content."""
    program = shutil.which("promtool")
    if program is None:
        leave_untested("alert rules by promtool", "promtool is not installed (Debian: prometheus)")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, cwd=FOLDER / "prometheus")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_alert_fires_in_its_trouble_and_none_on_a_quiet_day() -> None:
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yaml")


def test_the_compose_files_prometheus_scrapes_every_service_and_has_the_alerts(tmp_path: Path) -> None:
    for name in ("prometheus/prometheus.yml", "helm/facescan/files/alerts.yaml"):
        shutil.copy(FOLDER / name, tmp_path)
    promtool("check", "config", str(tmp_path / "prometheus.yml"))
    jobs = yaml.safe_load((tmp_path / "prometheus.yml").read_text())["scrape_configs"]
    scraped = {job["job_name"]: {one["labels"]["role"] for one in job["static_configs"]} for job in jobs}
    assert scraped == {"facescan": set(SERVICES), "gateway": {"gateway"}}
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    hosts = {target.partition(":")[0] for job in jobs for one in job["static_configs"] for target in one["targets"]}
    assert hosts <= {*services, "inbox"}


def test_the_tests_of_the_alerts_can_fail(tmp_path: Path) -> None:
    """With the troubles' series gone, promtool is not content with any of the alerts."""
    tests = yaml.safe_load((FOLDER / "prometheus/alerts_test.yaml").read_text())
    tests["rule_files"] = [str(FOLDER / "helm/facescan/files/alerts.yaml")]
    for one in tests["tests"]:
        one["input_series"] = []
    (tmp_path / "broken.yaml").write_text(yaml.safe_dump(tests))
    with pytest.raises(AssertionError) as refused:
        promtool("test", "rules", str(tmp_path / "broken.yaml"))
    assert all(alert.name in str(refused.value) for alert in ALERTS)


def test_every_query_of_the_dashboard_is_promql(tmp_path: Path) -> None:
    queries = [query.replace("$__rate_interval", "5m") for panel in panels() for query, _ in panel.queries]
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(queries)} rules found" in promtool("check", "rules", str(tmp_path / "panels.yaml"))


@pytest.mark.parametrize("name", [alert.name for alert in ALERTS])
def test_every_alert_has_its_page(name: str) -> None:
    page = re.search(rf"^### {name}\n(.*?)(?=^##|\Z)", PAGES, re.MULTILINE | re.DOTALL)
    assert page is not None, f"{GUIDE} has no page for {name}"
    for part in ("*Means.*", "*Look at.*", "*Do.*"):
        assert part in page[1]


def test_no_page_is_of_an_alert_that_is_not_there() -> None:
    assert set(re.findall(r"^### (Facescan\w+)$", PAGES, re.MULTILINE)) == {alert.name for alert in ALERTS}


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda one: one.name)
def test_every_objective_is_written_down(objective: Objective) -> None:
    text = (ROOT / "docs/slo.md").read_text()
    assert objective.title in text
    assert f"{objective.share * 100:g} %" in text


def test_panels_do_not_lie_upon_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells
        assert place["x"] + place["w"] <= 24
        taken |= cells
