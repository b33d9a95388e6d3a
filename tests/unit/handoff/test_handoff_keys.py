"""The file of keys is followed while the service runs."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest

from ticket_handoff.adapters.keys import KeyFile, add_key

SECRET = "kept-to-itself"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_key_that_is_added_counts_at_once_and_one_that_is_struck_no_more(path: Path) -> None:
    first = add_key(path, "internal", "Ada")
    keys = KeyFile(path)
    second = add_key(path, "nightwatch", "Nora")
    assert (keys.find(second), keys.find(first)) == (keys._keys[1], keys._keys[0])
    struck = keys._keys[0].sha256
    path.write_text(json.dumps({"keys": json.loads(path.read_text())["keys"][1:]}))
    assert keys.find(first) is None
    assert not keys.has(struck)
    assert len(keys) == 1


def test_the_same_length_at_the_same_time_is_another_file_once_it_is_replaced(path: Path) -> None:
    first = add_key(path, "internal", "Ada")
    keys, date = KeyFile(path), path.stat().st_mtime_ns
    other = path.with_name("other.json")
    second = add_key(other, "internal", "Bea")
    os.utime(other, ns=(date, date))
    other.replace(path)
    assert (keys.find(first), keys.find(second) is not None) == (None, True)


@pytest.mark.parametrize("broken", [f'{{"{SECRET}": 1}}', f"{SECRET} {{", None], ids=["unknown", "no JSON", "gone"])
def test_a_broken_file_keeps_the_keys_of_before_and_says_so_once(
    path: Path, broken: str | None, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    token = add_key(path, "internal", "Ada")
    told: list[bool] = []
    keys = KeyFile(path, told.append)
    if broken is None:
        path.unlink()
    else:
        path.write_text(broken)
    with caplog.at_level(logging.DEBUG):
        assert keys.find(token) is not None
        assert keys.find(token) is not None
    said = caplog.text + "".join(capsys.readouterr())
    assert said.count("the key file is broken") == 1
    assert SECRET not in said
    assert token not in said
    newer = add_key(path.with_name("new.json"), "internal", "Bea")
    path.with_name("new.json").replace(path)
    assert (keys.find(newer) is not None, keys.find(token)) == (True, None)
    assert told == [True, False]
