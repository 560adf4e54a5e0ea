"""``rfapp data check`` as a user types it."""

import json

import cv2
import numpy as np
import pytest

from rfapp.cli.main import DONE, FAILED, WRONG_USAGE, main
from rfapp.sources.pictures import read_picture


@pytest.fixture
def labels(tmp_path):
    for name in ("one", "two", "none"):
        (tmp_path / "images").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), np.full((48, 64, 3), 90, np.uint8))
    path = tmp_path / "label.txt"
    path.write_text("# one.png\n10 10 12 16\n# two.png\n5 5 30 30\n50 40 30 30\n1 1 0 0\n# none.png\n")
    return path


def test_what_is_printed(labels, capsys):
    assert main(["data", "check", str(labels.parent)]) == DONE
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].startswith(f"{labels}: RetinaFace label.txt, checked in ")
    counts = {line[:22].strip(): line[22:].split()[0] for line in lines[2:9]}
    assert counts == {
        "pictures": "3",
        "usable": "3",
        "without faces": "1",
        "missing or broken": "0",
        "faces": "3",
        "with landmarks": "0",
        "ignored faces": "0",
    }
    assert len({len(line) for line in lines[2:9]}) == 1  # numbers end in one column
    assert f"{labels}:6: the box x1, y1, x2, y2 = 1, 1, 1, 1 has no area; left out" in lines
    assert any(line.startswith(f"{labels}:5: the box 50, 40, 80, 70 reaches beyond") for line in lines)
    assert captured.err.splitlines() == ["Decoding pictures: 3 of 3"]


def test_json_is_one_line_with_everything(labels, capsys):
    assert main(["data", "check", str(labels), "--json", "--quiet"]) == DONE
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert captured.out.count("\n") == 1
    assert captured.err == ""
    assert (answer["pictures"], answer["usable"], answer["faces"], answer["negatives"]) == (3, 3, 3, 1)
    assert answer["face_long_side"]["native"] == [0, 1, 2, 0, 0, 0, 0, 0]
    assert answer["face_long_side"]["at_640"] == [0, 0, 0, 0, 0, 2, 1, 0]
    assert answer["findings_by_kind"] == {"clipped": 1, "no-area": 1}
    assert {(finding["line"], finding["kind"]) for finding in answer["findings"]} == {(5, "clipped"), (6, "no-area")}


def test_missing_and_broken_pictures_are_exit_1(labels, capsys):
    (labels.parent / "images" / "one.png").unlink()
    (labels.parent / "images" / "two.png").write_text("x")
    assert main(["data", "check", str(labels), "--json"]) == FAILED
    answer = json.loads(capsys.readouterr().out)
    assert (answer["usable"], answer["lost"]) == (1, 2)
    assert [(f["kind"], f["line"]) for f in answer["findings"]] == [("missing", 1), ("broken", 3)]


def test_nothing_usable_is_exit_1(labels, capsys):
    for picture in (labels.parent / "images").iterdir():
        picture.write_text("x")
    assert main(["data", "check", str(labels), "--contact-sheet", str(labels.parent / "sheet.jpg")]) == FAILED
    assert "missing or broken" in capsys.readouterr().out
    assert not (labels.parent / "sheet.jpg").exists()


def test_more_findings_than_are_shown_are_counted(labels, capsys):
    labels.write_text("# one.png\n1 1 9 9\n" + "1 2 x 4\n" * 1234)
    assert main(["data", "check", str(labels)]) == DONE
    out = capsys.readouterr().out
    assert out.count("not a number") == 20
    assert "and 1,214 more; --json lists all." in out
    assert main(["data", "check", str(labels), "--json"]) == DONE
    assert len(json.loads(capsys.readouterr().out)["findings"]) == 1234


def test_contact_sheet(labels, capsys):
    sheet = labels.parent / "out" / "sheet.jpg"
    assert main(["data", "check", str(labels), "--contact-sheet", str(sheet), "--quiet"]) == DONE
    assert read_picture(sheet).shape == (286, 3 * 262 + 6, 3)
    before = sheet.stat().st_mtime_ns
    assert main(["data", "check", str(labels), "--contact-sheet", str(sheet)]) == FAILED
    assert "there already" in capsys.readouterr().err
    assert sheet.stat().st_mtime_ns == before
    assert main(["data", "check", str(labels), "--contact-sheet", str(sheet), "--force"]) == DONE


def test_headers_only(labels, capsys):
    assert main(["data", "check", str(labels), "--fast"]) == DONE
    assert "Reading headers: 3 of 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["nowhere"], FAILED, "There is no file or folder “nowhere”."),
        (["{0}", "--contact-sheet", "x.txt"], WRONG_USAGE, "written as .jpg, .png or .webp"),
        (["{0}", "--pictures", "nowhere"], FAILED, "There is no folder of pictures “nowhere”."),
        (["{0}/images/one.png"], FAILED, "has no known format of labels. Known are"),
    ],
)
def test_errors_are_one_sentence(labels, capsys, words, code, sentence):
    assert main(["data", "check", *(word.replace("{0}", str(labels.parent)) for word in words)]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert sentence in captured.err
    assert captured.err.count("\n") == 1


def test_classes_are_a_question_that_can_be_answered(tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "one.png"), np.zeros((48, 64, 3), np.uint8))
    (tmp_path / "one.txt").write_text("0 0.5 0.5 0.5 0.5\n3 0.5 0.5 0.2 0.2\n")
    assert main(["data", "check", str(tmp_path)]) == WRONG_USAGE
    assert "--class" in capsys.readouterr().err
    assert main(["data", "check", str(tmp_path), "--class", "3", "--json"]) == DONE
    assert json.loads(capsys.readouterr().out)["faces"] == 1


def test_reference_set_takes_seconds(test_data, capsys):
    assert main(["data", "check", str(test_data / "wider_train640"), "--json"]) == DONE
    answer = json.loads(capsys.readouterr().out)
    assert (answer["pictures"], answer["usable"], answer["faces"]) == (556, 556, 14136)
    assert sum(answer["face_long_side"]["native"]) == 14136
