"""A text model: what it learns, what it says when it does not know, its files, and bad input."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from ticket_classifier.__main__ import main
from ticket_classifier.adapters.models import ARRAYS, MANIFEST, Models, read_model
from ticket_classifier.domain.figures import figures
from ticket_classifier.domain.opinion import ModelError
from ticket_classifier.domain.textmodel import HEAD, TextModel
from unit.classifier.labelled import as_csv, as_jsonl, tickets, written

TRAIN = ["--text", "text", "--label", "label"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the made-up tickets; tests copy it before they spoil it."""
    made = tmp_path_factory.mktemp("model")
    source = written(made / "tickets.csv.gz", as_csv(tickets()))
    assert main(["train", "--input", source, *TRAIN, "--output", str(made / "m"), "--json"]) == 0
    return made / "m"


@pytest.fixture
def copy(directory: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(directory, tmp_path / "copy"))


@pytest.fixture(scope="module")
def model(directory: Path) -> TextModel:
    return read_model(directory)[0]


def test_it_tells_topics_apart_and_names_the_words(model: TextModel) -> None:
    [opinion] = model.judge([("Printer", "paper jam in the tray since this morning")])
    assert opinion.label == "Printing"
    assert opinion.confidence > 0.8
    assert set(list(opinion.terms)[:4]) <= {"printer", "paper", "jam", "tray"}
    assert sum(opinion.labels.values()) == pytest.approx(1, abs=0.01)


def test_the_terms_explain_the_score(model: TextModel) -> None:
    """The score that the arrays give is the sum of what the terms are said to contribute, and the label's bias."""
    words = ["printer", "jam", "toner"]
    terms = model._reader.read([words])
    [scores] = model.scores(terms, 1)
    by_hand = {
        label: model._bias[place]
        + sum(model._weight[term, place] * value for term, value in zip(terms.term, terms.value, strict=True))
        for place, label in enumerate(model.labels)
    }
    assert dict(zip(model.labels, scores, strict=True)) == pytest.approx(by_hand, rel=1e-5)
    [opinion] = model.judge_words([words])
    place = model.labels.index(opinion.label)
    assert sum(opinion.terms.values()) == pytest.approx(float(scores[place] - model._bias[place]), abs=0.01)


def test_a_ticket_alone_and_in_a_batch_is_judged_alike(model: TextModel) -> None:
    texts = [("", text) for text, _ in tickets(50, seed=5)] + [("", ""), ("🎉", "🎉🎉"), ("vpn", "")]
    together = model.judge(texts)
    for said, text in zip(together, texts, strict=True):
        [alone] = model.judge([text])
        assert (alone.label, alone.words, alone.pairs, alone.strange) == (
            said.label,
            said.words,
            said.pairs,
            said.strange,
        )
        assert alone.confidence == pytest.approx(said.confidence, abs=1e-5)


def test_words_count_double_at_the_beginning_only(model: TextModel) -> None:
    filler = " ".join(["unknown"] * HEAD)
    early, late = (model._reader.read([text.split()]) for text in (f"toner {filler}", f"{filler} toner"))
    assert len(early.term) == 2
    assert len(late.term) == 1


@pytest.mark.parametrize(
    "text", ["", "🎉🎉🎉", "QUJD" * 250_000, "Hyvää päivää, tulostin ei toimi", "打印机坏了", "\x00\xff", "12345 67890"]
)
def test_what_it_cannot_read_it_leaves_to_others(text: str, model: TextModel) -> None:
    [opinion] = model.judge([("", text)])
    assert opinion.strange
    assert opinion.words == 0


def test_quoted_history_is_not_what_a_ticket_says(model: TextModel) -> None:
    [opinion] = model.judge([("Printer jam", "paper tray\n> vpn wifi router tunnel gateway firewall\n> vpn vpn vpn")])
    assert opinion.label == "Printing"
    assert not {"vpn", "wifi"} & set(opinion.terms)


def test_training_twice_gives_the_same_model(directory: Path, tmp_path: Path) -> None:
    source = written(tmp_path / "tickets.csv.gz", as_csv(tickets()))
    assert main(["train", "--input", source, *TRAIN, "--output", str(tmp_path / "m"), "--json"]) == 0
    for name in (MANIFEST, ARRAYS):
        assert (tmp_path / "m" / name).read_bytes() == (directory / name).read_bytes()


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.jsonl", "t.jsonl.gz", "t.tsv", "semicolon.csv"])
def test_tickets_come_as_csv_or_json_lines_compressed_or_not(
    name: str, directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    separator = {"t.tsv": "\t", "semicolon.csv": ";"}.get(name, ",")
    rows = tickets(100, seed=2)
    content = as_jsonl(rows) if "jsonl" in name else as_csv(rows, separator)
    assert main(["evaluate", "--model", str(directory), "--input", written(tmp_path / name, content), *TRAIN]) == 0
    said = msgspec.json.decode(capsys.readouterr().out.splitlines()[-1])
    assert said["n"] == 100
    assert said["accuracy"] > 0.8
    assert [point["coverage"] for point in said["coverage"]][-1] == 1
    assert {"macro_f1", "ece", "abstained"} <= set(said)


def test_labels_that_a_model_does_not_know_count_as_wrong(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [("kaffee maschine defekt bitte", "Kitchen")] * 20
    source = written(tmp_path / "t.csv", as_csv(rows))
    assert main(["evaluate", "--model", str(directory), "--input", source, *TRAIN, "--json"]) == 0
    said = capsys.readouterr()
    assert "'Kitchen' (20)" in said.err
    figures = msgspec.json.decode(said.out)
    assert (figures["n"], figures["accuracy"], figures["abstained"]) == (20, 0.0, 20)


_ROWS = tickets(60)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no column is called 'text'"),
        (b"text,label\n", "holds no ticket"),
        (b"body,label\na,b\n", "no column is called 'text'; the columns are 'body', 'label'"),
        (b"text,label,label\na,b,c\n", "2 columns are called 'label'"),
        (b"text,label\na,b\na,b,c\n", "t.csv:3: 3 fields, the header has 2"),
        (b'text,label\n"a,b\n', "t.csv:2: not CSV"),
        (b"text,label\n\xff\xfe,b\n", "t.csv:2: not UTF-8"),
        (b'{"text": "a"', "t.csv:1: not JSON"),
        (b'{"text": "a", "label": "b"}\n{"body": 1}', "t.csv:2: no field 'text'; it has 'body'"),
        (b'{"text": ["a"], "label": "b"}', "'text' is list, not text"),
        (b"\x1f\x8bshort", "compressed, but not whole"),
        (as_csv([(text, "one") for text, _ in _ROWS]), "every ticket has the label 'one'"),
        (as_csv([*_ROWS, ("vpn", "network ")]), "'Network' and 'network' are one label written twice"),
        (
            as_csv([*_ROWS, ("coffee", "Kitchen"), ("tea", "Kitchen")]),
            "fewer than 10 tickets have the label 'Kitchen' (2)",
        ),
        (as_csv([(label, text) for text, label in _ROWS]), "is this the column of the label?"),
        (as_csv([(f"w{place}", label) for place, (_, label) in enumerate(_ROWS)]), "no word stands in 3 tickets"),
    ],
)
def test_what_nothing_can_be_learned_from_is_said(
    content: bytes, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    arguments = ["train", "--input", str(tmp_path / "t.csv"), *TRAIN, "--output", str(tmp_path / "m")]
    assert main(arguments) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


def test_rows_without_a_label_are_left_out_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = written(tmp_path / "t.csv", as_csv([*tickets(120), ("vpn", ""), ("wifi", " ")]))
    assert main(["train", "--input", source, *TRAIN, "--output", str(tmp_path / "m")]) == 0
    said = capsys.readouterr()
    assert "2 rows without a label" in said.err
    assert msgspec.json.decode(said.out.splitlines()[-1])["n"] == 120


def test_files_cut_short_or_altered_are_said(copy: Path) -> None:
    whole = {name: (copy / name).read_bytes() for name in (MANIFEST, ARRAYS)}
    spoiled = {
        "cut short": (ARRAYS, whole[ARRAYS][:-100], "was cut short or altered"),
        "a byte": (ARRAYS, whole[ARRAYS][:500] + b"\x00" + whole[ARRAYS][501:], "was cut short or altered"),
        "empty": (ARRAYS, b"", "was cut short or altered"),
        "cut manifest": (MANIFEST, whole[MANIFEST][:-20], "is not whole"),
        "a threshold": (MANIFEST, whole[MANIFEST].replace(b'"confidence": 0.', b'"confidence": 1.', 1), "was altered"),
        "another format": (MANIFEST, whole[MANIFEST].replace(b"model/1", b"model/9"), "has the format"),
        "nothing": (MANIFEST, None, "holds no model"),
    }
    for name, (file, content, said) in spoiled.items():
        for part, before in whole.items():
            (copy / part).write_bytes(before)
        if content is None:
            (copy / file).unlink()
        else:
            assert content != whole[file], name
            (copy / file).write_bytes(content)
        with pytest.raises(ModelError, match=said):
            read_model(copy)


def test_arrays_that_do_not_fit_are_refused_although_their_digest_is_right(copy: Path) -> None:
    import hashlib

    _, manifest = read_model(copy)
    with np.load(copy / ARRAYS) as stored:
        good = dict(stored)
    words = len(good["words"].tobytes().split(b"\n"))
    for name, spoiled in {
        "idf": good["idf"][:-1],
        "weight": good["weight"][:, :-1],
        "heads": np.array([words], dtype=np.uint16),
        "scale": good["scale"] * np.float32("nan"),
        "bias": good["bias"].astype(np.float64),
        "words": good["words"][:5],
    }.items():
        np.savez_compressed(copy / ARRAYS, **{**good, name: spoiled})
        arrays = hashlib.sha256((copy / ARRAYS).read_bytes()).hexdigest()
        made = msgspec.structs.replace(manifest, arrays_sha256=arrays)
        made = msgspec.structs.replace(made, digest=made.own_digest())
        (copy / MANIFEST).write_bytes(msgspec.json.encode(made))
        with pytest.raises(ModelError, match="holds no weights of a model"):
            read_model(copy)


def test_models_are_found_by_digest_as_they_come(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("ticket_classifier.adapters.models.time.monotonic", lambda: now[0])
    digest = read_model(directory)[1].digest
    models = Models(tmp_path)
    assert models(digest) is None
    assert digest in models.problems[digest]
    shutil.copytree(directory, tmp_path / "any name")
    assert models(digest) is None  # it looks again after some seconds only
    now[0] += 6
    found = models(digest)
    assert found is not None
    assert found.digest == digest
    assert not models.problems
    assert models(digest) is found
    nowhere = Models(None)
    assert nowhere(digest) is None
    assert "RELAYDESK_MODELS" in nowhere.problems[digest]


def test_figures_of_a_case_worked_by_hand() -> None:
    held = figures(["a", "a", "b", "b"], ["a", "b", "b", "b"], [0.9, 0.6, 0.8, 0.5], [False, True, False, False])
    assert (held.n, held.accuracy, held.abstained, held.accuracy_answered) == (4, 0.75, 1, 1.0)
    # a: precision 1, recall 1/2, F1 2/3; b: precision 2/3, recall 1, F1 4/5
    assert held.macro_f1 == pytest.approx((2 / 3 + 4 / 5) / 2, abs=1e-3)
    # each ticket in a bin of its own: |1 - .9| + |0 - .6| + |1 - .8| + |1 - .5|
    assert held.ece == pytest.approx((0.1 + 0.6 + 0.2 + 0.5) / 4, abs=1e-4)
    assert [point.accuracy for point in held.coverage if point.coverage in (0.5, 0.75, 1.0)] == [1.0, 0.6667, 0.75]


def test_a_desk_without_a_model_needs_no_numpy() -> None:
    """Half of the start time would be its import."""
    said = subprocess.run(
        [sys.executable, "-c", "import ticket_classifier.__main__, sys; print('numpy' in sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout.strip() == "False"


def test_serving_a_model_needs_numpy_alone(directory: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ticket_classifier.adapters.models import read_model\n"
        "model, _ = read_model(Path(sys.argv[1])); model.judge([('Printer', 'paper jam')])\n"
        "print(sorted({'scipy', 'sklearn', 'bm25s'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code, str(directory)], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
