"""The rules: each alert says what, who and where to read on; promtool fires it and keeps it quiet; routes lead where
they should."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import backends
from relaydesk_observe import catalogue
from relaydesk_observe.dashboards import BOARDS

ROOT = Path(__file__).parents[3]
PROMETHEUS = ROOT / "deploy" / "prometheus"
ALERTMANAGER = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
RUNBOOKS = ROOT / "docs" / "runbooks"
SEVERITIES = {"page", "ticket", "partner"}


def rules() -> list[dict[str, Any]]:
    return [
        rule
        for path in sorted((PROMETHEUS / "rules").glob("*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def run(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    found = shutil.which(tool)
    if found is None:
        backends.unavailable(f"{tool} is not installed (Debian: prometheus, prometheus-alertmanager)")
    return subprocess.run([found, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_says_what_who_and_where_to_read_on(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in SEVERITIES
    annotations = alert["annotations"]
    assert annotations["summary"].endswith(".")
    assert annotations["description"]
    assert annotations["runbook_url"] == f"docs/runbooks/{alert['alert']}.md"
    assert (ROOT / annotations["runbook_url"]).is_file()


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_a_runbook_answers_what_one_asks_at_night(alert: dict[str, Any]) -> None:
    text = (RUNBOOKS / f"{alert['alert']}.md").read_text()
    assert text.startswith(f"# {alert['alert']}\n")
    for section in ("## What it means", "## What to look at", "## What to do", "## How to know that it is over"):
        assert section in text, section
    assert "## How it was tried" in text


def test_every_runbook_has_its_alert() -> None:
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == {alert["alert"] for alert in alerts()}
    index = (RUNBOOKS / "README.md").read_text()
    assert all(f"({page}.md)" in index for page in pages)


def test_no_two_alerts_have_one_name() -> None:
    names = [alert["alert"] for alert in alerts()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_asks_only_for_metrics_that_are_exported(rule: dict[str, Any]) -> None:
    known = catalogue.series_names() | {each["record"] for each in rules() if "record" in each}
    asked = set(re.findall(r"relaydesk[a-z0-9_:]*", rule["expr"]))
    assert asked - known - {"relaydesk"} == set()


def test_a_transfer_that_is_on_its_agreed_path_wakes_nobody() -> None:
    agreed = yaml.safe_load((ROOT / "deploy/agreements/default.yaml").read_text())["transfers"]["total_seconds"]
    (alert,) = [alert for alert in alerts() if alert["alert"] == "TransferUnacknowledged"]
    assert alert["expr"].endswith(f"> {agreed}")
    for name in ("desk", "transfers"):
        shown = [p for p in BOARDS[name].panels if "oldest_unacknowledged" in p.queries[0][0]]
        assert [panel.bad for panel in shown] == [agreed]


@pytest.mark.parametrize("page", sorted(RUNBOOKS.glob("*.md")), ids=lambda page: page.stem)
def test_a_runbook_asks_only_for_metrics_that_are_exported(page: Path) -> None:
    known = catalogue.series_names() | {each["record"] for each in rules() if "record" in each}
    known |= {metric.name for metric in catalogue.every()}  # in prose a histogram is named as a whole
    asked = set(re.findall(r"relaydesk[_:][a-z0-9_:]*[a-z0-9]", page.read_text()))
    assert asked - known == set()


def test_how_each_alert_was_tried_names_a_test_that_is_there() -> None:
    table = re.findall(r"^\| (\w+) \| (.+) \| `(\S+)` \|$", (RUNBOOKS / "README.md").read_text(), re.M)
    assert sorted(name for name, _, _ in table) == sorted(alert["alert"] for alert in alerts())
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("*/**/test_*.py"))
    for _, _, test in table:
        assert f"def {test}(" in tests or (ROOT / test).is_dir(), test


def test_promtool_finds_no_fault_in_the_rules() -> None:
    done = run("promtool", "check", "rules", *map(str, sorted((PROMETHEUS / "rules").glob("*.yml"))))
    assert done.returncode == 0, done.stdout + done.stderr
    done = run("promtool", "check", "config", "--syntax-only", str(PROMETHEUS / "prometheus.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_fires_each_alert_and_keeps_it_quiet() -> None:
    done = run("promtool", "test", "rules", *map(str, sorted((PROMETHEUS / "tests").glob("*.yml"))))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("expression", ["vector(0) > 1", "vector(1)"], ids=["never fires", "always fires"])
@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
@pytest.mark.long
def test_the_cases_notice_an_alert_that_is_broken(alert: dict[str, Any], expression: str, tmp_path: Path) -> None:
    shutil.copytree(PROMETHEUS / "rules", tmp_path / "rules")
    shutil.copytree(PROMETHEUS / "tests", tmp_path / "tests")
    path = tmp_path / "rules" / "alerts.yml"
    content = yaml.safe_load(path.read_text())
    (broken,) = [rule for group in content["groups"] for rule in group["rules"] if rule["alert"] == alert["alert"]]
    broken["expr"] = expression
    path.write_text(yaml.safe_dump(content))
    cases = [str(path) for path in sorted((tmp_path / "tests").glob("*.yml")) if alert["alert"] in path.read_text()]
    done = run("promtool", "test", "rules", *cases)
    assert done.returncode != 0
    assert alert["alert"] in done.stdout + done.stderr


def test_amtool_finds_no_fault_in_the_routes() -> None:
    done = run("amtool", "check-config", str(ALERTMANAGER))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("alertname=BrokerUnreachable severity=page", "page"),
        ("alertname=PartnerEscalation severity=partner partner=helpline", "partner-manager"),
        ("alertname=DeadLetters severity=ticket", "ticket"),
        ("alertname=SomebodyElses", "ticket"),
    ],
)
def test_an_alert_reaches_who_can_do_something_about_it(labels: str, receiver: str) -> None:
    done = run("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}", *labels.split())
    assert done.stdout.strip() == receiver, done.stderr


def test_an_inhibition_names_alerts_that_exist() -> None:
    names = {alert["alert"] for alert in alerts()}
    for rule in yaml.safe_load(ALERTMANAGER.read_text())["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            found = re.fullmatch(r'alertname(=~|!=|=)"(.+)"', matcher)
            if found is not None:
                assert any(re.fullmatch(found[2], name) for name in names), matcher
                if "|" in found[2]:
                    assert set(found[2].split("|")) <= names, matcher
