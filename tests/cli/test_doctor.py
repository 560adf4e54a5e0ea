"""``rfapp doctor`` as a person and as a script call it."""

from __future__ import annotations

import json

import pytest

from rfapp import diagnosis
from rfapp.cli.main import DONE, FAILED, main
from rfapp.diagnosis import Finding

FINDINGS = [
    Finding("Versions", "numpy", "2.0"),
    Finding("Cameras", "none", "no camera found", "note", "Plug one in."),
    Finding("Weights", "small", "damaged", "problem", "Install rfapp again."),
]


@pytest.fixture
def found(monkeypatch):
    """What the diagnosis is going to say; the list can be changed."""
    findings = list(FINDINGS)
    asked = []

    def examine(*, selftest):
        asked.append(selftest)
        yield from findings

    monkeypatch.setattr("rfapp.cli.doctor.examine", examine)
    findings_and_asked = findings, asked
    return findings_and_asked


def test_a_problem_is_told_with_what_to_do_and_fails(found, capsys):
    assert main(["doctor"]) == FAILED
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "Versions",
        "  numpy: 2.0",
        "Cameras",
        "  none: note: no camera found",
        "    → Plug one in.",
        "Weights",
        "  small: PROBLEM: damaged",
        "    → Install rfapp again.",
        "Problems: 1.",
    ]
    assert err == ""


def test_notes_are_no_failure(found, capsys):
    found[0].pop()
    assert main(["doctor"]) == DONE
    assert capsys.readouterr().out.endswith("No problem found.\n")


def test_json_is_the_last_line_of_standard_output(found, capsys):
    assert main(["doctor", "--json"]) == FAILED
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert result["ok"] is False
    assert result["findings"][2] == {
        "section": "Weights",
        "name": "small",
        "value": "damaged",
        "level": "problem",
        "advice": "Install rfapp again.",
    }
    assert "PROBLEM: damaged" in err


def test_quiet_says_problems_only(found, capsys):
    assert main(["doctor", "--quiet"]) == FAILED
    assert capsys.readouterr().out == "Weights\n  small: PROBLEM: damaged\n    → Install rfapp again.\n"


def test_the_self_test_runs_only_when_asked_for(found):
    main(["doctor"])
    main(["doctor", "--selftest"])
    assert found[1] == [False, True]


def test_a_terminal_gets_a_table(found, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    main(["doctor"])
    lines = capsys.readouterr().out.splitlines()
    (row,) = [line for line in lines if "PROBLEM: damaged" in line]
    assert "small" in row


def test_the_real_one_finds_the_weights(capsys):
    main(["doctor", "--json", "--quiet"])
    findings = json.loads(capsys.readouterr().out)["findings"]
    sections = list(dict.fromkeys(item["section"] for item in findings))
    assert sections == ["Versions", "Computer", "Engines", "Cameras", "Folders", "Weights"]
    (default,) = [item for item in findings if item["name"] == "mobilenet0.25"]
    assert default["level"] == "ok"
    assert diagnosis.DetectorSettings().model == "mobilenet0.25"
