"""The compose file names things that exist, and its broker behaves as the local one does."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import backends
from relaydesk_local.kafka import broker_settings
from ticket_runtime.settings import RuntimeSettings

ROOT = Path(__file__).parents[3]
FILE = ROOT / "deploy" / "compose" / "compose.yaml"
DESK = {
    "intake": "ticket_intake",
    "classifier": "ticket_classifier",
    "router": "ticket_router",
    "sla-monitor": "sla_monitor",
    "handoff": "ticket_handoff",
}
# What makes one broker another than the next; the rest should be the same wherever a desk runs.
OF_ITS_PLACE = {
    "listeners",
    "advertised.listeners",
    "listener.security.protocol.map",
    "inter.broker.listener.name",
    "controller.quorum.voters",
    "log.dirs",
}


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text())["services"]
    return found


def test_the_five_services_and_what_they_stand_on_are_there(services: dict[str, dict[str, Any]]) -> None:
    assert DESK.keys() | {"kafka", "postgres"} <= services.keys()


def test_every_build_has_its_context_and_its_dockerfile(services: dict[str, dict[str, Any]]) -> None:
    builds = {name: service["build"] for name, service in services.items() if "build" in service}
    assert builds.keys() >= DESK.keys()
    for name, build in builds.items():
        context = (FILE.parent / build["context"]).resolve()
        assert context == ROOT, name
        assert (context / build["dockerfile"]).is_file(), name


def test_every_other_service_names_an_image_of_a_fixed_version(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        if "build" not in service:
            assert re.fullmatch(r"[a-z0-9/.-]+:v?\d+[\w.-]*", service["image"]), name


def test_the_images_of_the_tests_are_those_of_the_desk(services: dict[str, dict[str, Any]]) -> None:
    assert services["kafka"]["image"] == backends.KAFKA_IMAGE
    assert services["postgres"]["image"] == backends.POSTGRES_IMAGE


def test_ports_are_unique_and_for_this_host_only(services: dict[str, dict[str, Any]]) -> None:
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in published)
    outside = [port.split(":")[1] for port in published]
    assert len(outside) == len(set(outside))


def test_every_mounted_file_exists_and_every_volume_is_declared(services: dict[str, dict[str, Any]]) -> None:
    declared = yaml.safe_load(FILE.read_text())["volumes"].keys()
    for name, service in services.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (FILE.parent / source).exists(), f"{name}: {source}"
            else:
                assert source in declared, f"{name}: {source}"


def test_every_dependency_is_a_service_that_can_meet_its_condition(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        for other, wanted in service.get("depends_on", {}).items():
            if wanted["condition"] == "service_healthy":
                assert "test" in services[other]["healthcheck"], f"{name}: {other} never says that it is healthy"
            else:
                assert wanted["condition"] == "service_completed_successfully", name
                assert "restart" not in services[other], f"{name}: {other} would never be complete"


def test_every_setting_of_ours_is_one_that_somebody_reads(services: dict[str, dict[str, Any]]) -> None:
    known = {f"RELAYDESK_{field.upper()}" for field in RuntimeSettings.model_fields}
    known |= set(re.findall(r"RELAYDESK_[A-Z_]+", (FILE.parent / "prepare.py").read_text()))
    for name, service in services.items():
        ours = {key for key in service.get("environment", {}) if key.startswith("RELAYDESK_")}
        assert ours <= known, name


def test_the_broker_is_set_as_the_local_one(services: dict[str, dict[str, Any]]) -> None:
    local = {name: str(value) for name, value in broker_settings(Path("x"), 1, 2).items()}
    environment = services["kafka"]["environment"]
    contained = {key.removeprefix("KAFKA_").lower().replace("_", "."): value for key, value in environment.items()}
    assert contained.keys() - OF_ITS_PLACE <= local.keys(), "set in the container, left to chance locally"
    for name in contained.keys() - OF_ITS_PLACE:
        assert contained[name] == local[name], name


def test_tools_reach_an_edge_whose_life_does_not_hang_on_the_tasks(services: dict[str, dict[str, Any]]) -> None:
    edge = services["intake-edge"]
    assert edge["command"] == ["edge"]
    assert edge["ports"] == ["127.0.0.1:8600:8080"]
    assert edge["restart"] == "unless-stopped"


def test_prometheus_scrapes_the_five_the_edge_and_the_facts(services: dict[str, dict[str, Any]]) -> None:
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    targets = [t for job in config["scrape_configs"] for group in job["static_configs"] for t in group["targets"]]
    port = services["intake"]["environment"]["RELAYDESK_HTTP_PORT"]
    assert sorted(targets) == sorted(f"{name}:{port}" for name in (*DESK, "intake-edge", "facts"))


def test_the_facts_are_built_with_what_they_need_and_keep_them_in_the_database(
    services: dict[str, dict[str, Any]],
) -> None:
    facts = services["facts"]
    assert facts["command"] == ["facts", "serve"]
    assert (ROOT / "requirements" / f"{facts['build']['args']['LOCK']}.lock").is_file()
    assert (
        facts["environment"]["RELAYDESK_DATABASE_URL"] == services["handoff"]["environment"]["RELAYDESK_DATABASE_URL"]
    )


@pytest.mark.parametrize(("service", "module"), DESK.items())
def test_a_dockerfile_copies_what_exists_and_runs_the_service_as_nobody_in_particular(
    service: str, module: str
) -> None:
    text = (ROOT / "services" / service / "Dockerfile").read_text()
    copied = [
        source for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE) for source in line.split()[:-1]
    ]
    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
    assert f"requirements/{service}.lock" in copied
    (entry,) = re.findall(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)
    assert ast.literal_eval(entry) == ["python", "-m", module]
    assert re.search(r"^USER relaydesk$", text, re.MULTILINE)
    assert "--require-hashes" in text
