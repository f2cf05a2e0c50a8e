"""What the chart renders for each of its values: settings that the services take, and no more rights than needed."""

import functools
import importlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

import deploy
from deploy.roles import ROLES, Role
from shared.settings import load

CHART = Path(deploy.__file__).parent / "helm/facescan"
VALUES = ("default", "minimal", "large", "air-gapped", "msk-azure")
HELM = shutil.which("helm")

pytestmark = [
    pytest.mark.skipif(HELM is None, reason="helm is not installed"),
    pytest.mark.parametrize("values", VALUES),
]


@functools.cache
def rendered(values: str) -> Sequence[dict[str, Any]]:
    """Return the objects that Helm makes of the chart with these values."""
    more = [] if values == "default" else ["-f", str(CHART.parent / f"values/{values}.yaml")]
    done = subprocess.run([str(HELM), "template", "x", str(CHART), *more], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [thing for thing in yaml.safe_load_all(done.stdout) if thing]


def wanted(values: str) -> Sequence[Role]:
    """Return the roles that these values have; what is optional is in the large ones alone."""
    return [role for role in ROLES if not role.optional or values == "large"]


def of_kind(values: str, kind: str) -> dict[str, dict[str, Any]]:
    return {thing["metadata"]["name"]: thing for thing in rendered(values) if thing["kind"] == kind}


def test_each_role_is_a_deployment_whose_settings_its_service_takes_in_production(values: str) -> None:
    found = of_kind(values, "Deployment")
    assert set(found) == {f"x-{role.name}" for role in wanted(values)}
    for role in wanted(values):
        (container,) = found[f"x-{role.name}"]["spec"]["template"]["spec"]["containers"]
        names = [variable["name"] for variable in container["env"]]
        assert len(names) == len(set(names))
        environment = {one["name"]: one.get("value", "of a secret, long enough to be one") for one in container["env"]}
        application = importlib.import_module(f"services.{container['args'][1]}.app")
        settings = load(application.SETTINGS, environment)
        assert settings.environment == "production"
        if role.settings:
            assert settings.roles == set(next(iter(role.settings.values())).split(","))


def test_no_container_may_more_than_the_restricted_standard(values: str) -> None:
    kinds = (*of_kind(values, "Deployment").values(), *of_kind(values, "Job").values())
    for thing in kinds:
        pod = thing["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in (*pod["containers"], *pod.get("initContainers", [])):
            rules = container["securityContext"]
            assert rules["allowPrivilegeEscalation"] is False
            assert rules["readOnlyRootFilesystem"] is True
            assert rules["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"]


def test_a_stop_has_time_for_the_lame_duck_and_the_drain(values: str) -> None:
    for thing in of_kind(values, "Deployment").values():
        pod = thing["spec"]["template"]["spec"]
        environment = {one["name"]: one.get("value", "") for one in pod["containers"][0]["env"]}
        pause = pod["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        drain = float(environment["FACESCAN_DRAIN_SECONDS"])
        assert pod["terminationGracePeriodSeconds"] >= pause + 2 * drain


def test_all_is_denied_and_only_named_roles_reach_the_internet(values: str) -> None:
    policies = of_kind(values, "NetworkPolicy")
    nothing = policies.pop("x-nothing")["spec"]
    assert nothing["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in nothing
    assert "ingress" not in nothing
    reach = {
        name.removeprefix("x-")
        for name, policy in policies.items()
        for rule in policy["spec"].get("egress", [])
        for peer in rule["to"]
        if peer.get("ipBlock", {}).get("cidr") == "0.0.0.0/0" and {"port": 443} in rule["ports"]
    }
    assert (
        reach
        == {
            "default": {"sender"},
            "minimal": {"sender", "router"},
            "large": {"sender", "gateway"},
            "air-gapped": set(),
            "msk-azure": {"sender", "session", "verdict"},
        }[values]
    )
    for policy in policies.values():
        for rule in policy["spec"].get("egress", []):
            for peer in rule["to"]:
                if peer.get("ipBlock", {}).get("cidr") == "0.0.0.0/0":
                    assert {"10.0.0.0/8", "169.254.0.0/16", "127.0.0.0/8"} <= set(peer["ipBlock"]["except"])


def test_every_role_has_a_budget_of_disruptions_and_a_service_account_of_its_own(values: str) -> None:
    names = {f"x-{role.name}" for role in wanted(values)}
    assert set(of_kind(values, "PodDisruptionBudget")) == names
    assert names <= set(of_kind(values, "ServiceAccount"))


def test_each_reading_role_scales_on_the_lag_of_each_of_its_groups(values: str) -> None:
    scaled = of_kind(values, "ScaledObject")
    if values == "minimal":
        assert not scaled
        return
    for role in wanted(values):
        service = role.build()
        groups = {group for group in service.groups if not group.endswith(".delayer")}
        if not groups:
            assert f"x-{role.name}" in of_kind(values, "HorizontalPodAutoscaler")
            continue
        triggers = scaled[f"x-{role.name}"]["spec"]["triggers"]
        assert {one["metadata"]["consumerGroup"] for one in triggers if one["type"] == "kafka"} == groups
