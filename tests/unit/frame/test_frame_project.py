"""The frame of the project: what is installed comes from the locks, and no file depends on one machine or registry."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DISTRIBUTIONS = [
    "shared",
    "services/intake",
    "services/classifier",
    "services/router",
    "services/sla-monitor",
    "services/handoff",
    "deploy",
]
# Put together here so that this file does not hold what it looks for.
REGISTRIES = re.compile(
    "|".join(["py" + r"pi\.org", "pythonhosted" + r"\.org", "maven" + r"\.org", "repo1" + r"\.maven"])
)
HOME_PATHS = re.compile("|".join([r"/wo" + r"rk/(main|shared)", r"/tm" + r"p/(brief|bash)", "/ro" + r"ot/\."]))


def project_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


def manifest(directory: str) -> dict[str, object]:
    project = tomllib.loads((ROOT / directory / "pyproject.toml").read_text())["project"]
    assert isinstance(project, dict)
    return project


def normalized(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None
    return re.sub(r"[-_.]+", "-", name.group()).lower()


def pins(lock: str) -> dict[str, list[str]]:
    """The hashes by name of every line of a lock."""
    found: dict[str, list[str]] = {}
    for entry in re.split(r"\n(?=[a-z])", (ROOT / "requirements" / lock).read_text()):
        found.setdefault(normalized(entry), []).extend(re.findall(r"--hash=sha256:([0-9a-f]{64})", entry))
    return found


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the list of files that git keeps")
def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    naming = []
    for path in project_files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if REGISTRIES.search(line) or HOME_PATHS.search(line):
                naming.append(f"{path.relative_to(ROOT)}:{number}")
    assert naming == []


@pytest.mark.parametrize("directory", DISTRIBUTIONS)
def test_what_a_distribution_needs_is_locked_with_hashes(directory: str) -> None:
    service = Path(directory).name
    locks = ["dev.lock", f"{service}.lock"] if directory.startswith("services/") else ["dev.lock"]
    dependencies = manifest(directory)["dependencies"]
    assert isinstance(dependencies, list)
    assert dependencies
    for dependency in dependencies:
        name = normalized(dependency)
        if name != "relaydesk-shared":
            for lock in locks:
                assert pins(lock).get(name), f"{directory} needs {name}, which {lock} does not pin: make lock"


@pytest.mark.parametrize("directory", DISTRIBUTIONS[1:])
def test_our_own_shared_is_never_looked_for_in_a_registry(directory: str) -> None:
    tools = tomllib.loads((ROOT / directory / "pyproject.toml").read_text())["tool"]
    assert ((ROOT / directory) / tools["uv"]["sources"]["relaydesk-shared"]["path"]).resolve() == ROOT / "shared"


def test_the_locks_agree() -> None:
    dev = pins("dev.lock")
    others = [path.name for path in (ROOT / "requirements").glob("*.lock") if path.name != "dev.lock"]
    assert len(others) == 7, "one for each service, what building needs, and the facts"
    for lock in others:
        for name, hashes in pins(lock).items():
            assert hashes, f"{name} in {lock} has no hash"
            assert dev[name] == hashes, f"{name} differs between {lock} and dev.lock: make lock"


def test_every_target_explains_itself() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in phony.split():
        assert re.search(rf"^  make {target} +\S", shown, re.MULTILINE), f"make help is silent about {target}"


def test_make_alone_is_make_help() -> None:
    alone, helped = (
        subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for arguments in ([], ["help"])
    )
    assert alone == helped


def test_ci_runs_what_the_readme_says() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text()
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
