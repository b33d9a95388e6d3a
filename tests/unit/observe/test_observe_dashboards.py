"""The dashboards and the reference of the metrics are what the code says, and ask for nothing that is not exported."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from relaydesk_observe import __main__ as command
from relaydesk_observe import catalogue, dashboards

ROOT = Path(__file__).parents[3]
RECORDED = {
    rule["record"]
    for group in yaml.safe_load((ROOT / "deploy/prometheus/rules/recording.yml").read_text())["groups"]
    for rule in group["rules"]
}


def test_what_is_committed_is_what_the_code_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["check"]) == 0, capsys.readouterr().err


def test_the_check_names_a_file_that_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "ROOT", tmp_path)
    assert command.main(["write"]) == 0
    assert command.main(["check"]) == 0
    (tmp_path / "docs/metrics.md").write_text("something else")
    (tmp_path / "deploy/grafana/dashboards/old.json").write_text("{}")
    assert command.main(["check"]) == 1
    said = capsys.readouterr().err
    assert "docs/metrics.md is not what the code says" in said
    assert "old.json is not what the code says" in said


@pytest.mark.parametrize("name", dashboards.BOARDS)
def test_a_dashboard_has_its_own_name_and_panels_that_explain_themselves(name: str) -> None:
    made: dict[str, Any] = json.loads((ROOT / f"deploy/grafana/dashboards/{name}.json").read_text())
    assert made["uid"] == f"relaydesk-{name}"
    shown = [panel for panel in made["panels"] if panel["type"] != "row"]
    ids = [panel["id"] for panel in shown]
    assert len(ids) == len(set(ids)) > 0
    for panel in shown:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["targets"], panel["title"]
        assert panel["gridPos"]["w"] <= 24
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in made["panels"]}
    assert len(places) == len(made["panels"]), "panels lie on each other"


@pytest.mark.parametrize("name", dashboards.BOARDS)
def test_grafana_shows_all_rows_of_a_table_and_the_limit_of_a_graph(name: str) -> None:
    made: dict[str, Any] = json.loads((ROOT / f"deploy/grafana/dashboards/{name}.json").read_text())
    for panel in made["panels"]:
        if panel["type"] == "table":
            assert [target.get("format") for target in panel["targets"]] == ["table"], panel["title"]
        if panel["type"] == "timeseries" and len(panel["fieldConfig"]["defaults"]["thresholds"]["steps"]) > 1:
            style = panel["fieldConfig"]["defaults"]["custom"].get("thresholdsStyle")
            assert style == {"mode": "line"}, panel["title"]


@pytest.mark.parametrize("name", dashboards.BOARDS)
def test_a_panel_asks_only_for_what_is_exported(name: str) -> None:
    known = catalogue.series_names() | RECORDED
    for panel in dashboards.BOARDS[name].panels:
        for query, _ in panel.queries:
            asked = set(re.findall(r"\brelaydesk[a-z0-9_:]+", query))
            assert asked - known == set(), panel.title


def test_every_service_has_a_dashboard() -> None:
    services = {path.name for path in (ROOT / "services").iterdir() if (path / "pyproject.toml").exists()}
    assert {name.removeprefix("service-") for name in dashboards.BOARDS if name.startswith("service-")} == services


def test_no_two_metrics_of_a_desk_have_one_name() -> None:
    names = [metric.name for metric in catalogue.every()]
    assert len(names) == len(set(names))


def test_grafana_is_told_where_they_are() -> None:
    (provider,) = yaml.safe_load((ROOT / "deploy/grafana/provisioning/dashboards/relaydesk.yml").read_text())[
        "providers"
    ]
    grafana = yaml.safe_load((ROOT / "deploy/compose/compose.yaml").read_text())["services"]["grafana"]
    mounted = {target: source for source, target, *_ in (volume.split(":") for volume in grafana["volumes"])}
    assert mounted[provider["options"]["path"]] == "../grafana/dashboards"
    assert mounted["/etc/grafana/provisioning"] == "../grafana/provisioning"
