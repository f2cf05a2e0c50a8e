"""What deploys facescan says what the code says."""

import re
from pathlib import Path

import pytest
import yaml

import deploy
from cli.settings_known import known_variables
from deploy.roles import ROLES, access
from deploy.strimzi import topics, users
from deploy.write import differences
from services.async_post.settings import ROLES as POST_ROLES
from services.inbox.settings import ROLES as INBOX_ROLES
from shared.outbound_addresses import is_public
from shared.topics import TOPICS

FOLDER = Path(deploy.__file__).parent
VALUES = yaml.safe_load((FOLDER / "helm/facescan/values.yaml").read_text())
# Of the command line's own.
COMMANDS = {"FACESCAN_DEMO_INBOX", "FACESCAN_DEMO_PEERS", "FACESCAN_DEMO_SCAN", "FACESCAN_DEMO_STREAMING"}


def test_the_written_files_are_as_they_would_be_written() -> None:
    assert differences(FOLDER) == []


def test_every_part_of_a_service_is_in_some_role() -> None:
    parts = [
        part for role in ROLES for name, value in role.settings.items() if "ROLES" in name for part in value.split(",")
    ]
    assert sorted(parts) == sorted((*INBOX_ROLES, *POST_ROLES))


def test_every_topic_has_its_resource_with_the_retention_of_the_code() -> None:
    found = {topic["spec"]["topicName"]: topic["spec"]["config"]["retention.ms"] for topic in topics()}
    assert found == {spec.name: spec.retention_seconds * 1000 for spec in TOPICS}


def test_every_topic_that_is_read_is_written_by_somebody() -> None:
    needs = [access(role) for role in ROLES]
    written = {topic for need in needs for topic in need.writes}
    prefixes = tuple(prefix for need in needs for prefix in need.write_prefixes)
    for need in needs:
        assert all(topic in written or topic.startswith(prefixes) for topic in need.reads)


def test_no_user_may_create_or_change_anything() -> None:
    for user in users():
        for rule in user["spec"]["authorization"]["acls"]:
            assert set(rule["operations"]) <= {"Read", "Write", "Describe"}


def test_the_chart_and_its_values_name_settings_that_there_are() -> None:
    files = [*FOLDER.glob("helm/**/*.yaml"), *FOLDER.glob("helm/**/*.tpl"), *FOLDER.glob("helm/**/*.json")]
    named = {name for file in files for name in re.findall(r"FACESCAN_[A-Z][A-Z_]*[A-Z]", file.read_text())}
    assert named
    assert named - COMMANDS <= known_variables()


@pytest.mark.parametrize("name", ["minimal", "large", "air-gapped"])
def test_other_values_only_change_what_the_defaults_have(name: str) -> None:
    other = yaml.safe_load((FOLDER / f"helm/values/{name}.yaml").read_text())
    assert set(other) <= set(VALUES)
    assert set(other["roles"]) <= {role.name for role in ROLES} == set(VALUES["roles"])


def test_only_what_delivers_reaches_the_internet_and_no_private_address() -> None:
    assert [role.name for role in ROLES if role.internet] == VALUES["internet"] == ["sender", "gateway"]
    refused = yaml.safe_load((FOLDER / "helm/facescan/files/not-public.json").read_text())
    for network in (*refused["ipv4"], *refused["ipv6"]):
        assert not is_public(network.split("/")[0])


def test_what_is_optional_is_off_until_it_is_asked_for() -> None:
    assert {name for name, role in VALUES["roles"].items() if role.get("enabled") is False} == {
        role.name for role in ROLES if role.optional
    }


def test_no_role_scales_beyond_its_partitions() -> None:
    roles = yaml.safe_load((FOLDER / "helm/facescan/files/roles.json").read_text())
    for name, role in roles.items():
        for lag in role["lag"]:
            assert VALUES["roles"][name]["autoscaling"]["max"] <= lag["partitions"]
