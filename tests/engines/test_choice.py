"""Which engine runs, and what is said when none can."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from rfapp import engines, weights
from rfapp.engines import available, create, preload, resolve
from rfapp.errors import DeviceMissing, EngineMissing
from rfapp.places import resources


@pytest.fixture
def model():
    return weights.find("mobilenet0.25")


@pytest.fixture
def card(monkeypatch):
    """A computer with an NVIDIA driver."""
    monkeypatch.setattr("rfapp.engines.cuda_driver_present", lambda: True)


def test_by_name(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr("rfapp.engines.cuda_driver_present", lambda: False)
    monkeypatch.setattr("rfapp.engines.platform.system", lambda: "Linux")
    assert available() == ("openvino", "torch")
    assert (resolve("auto"), resolve("torch"), resolve("openvino")) == ("openvino", "torch", "openvino")
    with pytest.raises(EngineMissing, match="abacus"):
        resolve("abacus")
    monkeypatch.setattr("rfapp.engines.find_spec", lambda name: None)
    assert available() == ()
    with pytest.raises(EngineMissing, match=r"openvino is not installed.*pip install openvino"):
        resolve()


@pytest.mark.parametrize("device", ["auto", "cuda", "mps", "cpu"])
def test_graphics_cards_are_for_torch(card, device):
    pytest.importorskip("torch")
    assert resolve("auto", device) == ("openvino" if device == "cpu" else "torch")


def test_without_openvino_torch_runs_on_the_cpu(without, model):
    pytest.importorskip("torch")
    without("openvino")
    assert available() == ("torch",)
    engine = create(model, device="cpu", precision="float32")
    assert engine.name == "torch"
    engine.close()


def test_unusable_card_is_told_and_the_cpu_taken(card, monkeypatch, model):
    torch_engine = pytest.importorskip("rfapp.engines.torch_engine")
    monkeypatch.setattr(torch_engine, "cuda_problem", lambda: "It is too old.")
    for asked, name in (("auto", "openvino"), ("torch", "torch")):
        engine = create(model, asked, precision="float32")
        assert (engine.name, engine.device, engine.notes) == (name, "cpu", ("It is too old.",))
        engine.close()


def test_openvino_runs_on_the_cpu_only(model):
    with pytest.raises(DeviceMissing, match=r"not run on the device cuda.*engine torch"):
        create(model, "openvino", device="cuda")


def test_library_that_is_broken(without, monkeypatch, model):
    monkeypatch.delitem(sys.modules, "rfapp.engines.openvino_engine", raising=False)
    monkeypatch.delitem(sys.modules, "rfapp.engines.openvino_graph", raising=False)
    monkeypatch.setattr("rfapp.engines.available", lambda: ("openvino",))
    without("openvino")
    with pytest.raises(EngineMissing, match="openvino can't be loaded"):
        create(model, "openvino")


def test_preload_loads_torch_before_qt_on_windows_only(monkeypatch):
    pytest.importorskip("torch")
    calls = []
    monkeypatch.setattr("rfapp.engines.import_torch", lambda: calls.append(1))
    monkeypatch.setattr("rfapp.engines.cuda_driver_present", lambda: False)
    monkeypatch.setattr("rfapp.engines.sys.platform", "linux")
    preload("torch")
    assert not calls
    monkeypatch.setattr("rfapp.engines.sys.platform", "win32")
    preload("auto", device="cpu")
    preload("openvino")
    assert not calls
    preload("torch")
    monkeypatch.setattr("rfapp.engines.cuda_driver_present", lambda: True)
    preload("auto")
    assert len(calls) == 2
    monkeypatch.setattr("rfapp.engines.find_spec", lambda name: None)
    preload("auto")  # nothing installed: said when the detector is made
    assert len(calls) == 2


WITHOUT_TORCH = """
import importlib.abc, json, socket, sys

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(name)

def forbidden(*_, **__):
    raise AssertionError("a socket was opened")

sys.meta_path.insert(0, Blocker())
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = socket.getaddrinfo = forbidden
"""

DETECTOR = """
from rfapp import FaceDetector
from rfapp.looking import built_in_picture
detector = FaceDetector()
faces = detector(built_in_picture())
print(json.dumps({
    "engine": detector.engine, "faces": len(faces), "score": float(faces.scores[0]),
    "telemetry": [name for name in sys.modules if "telemetry" in name],
    "torch": "torch" in sys.modules,
}))
"""

COMMAND = """
from rfapp.cli import main
sys.exit(main(["detect", sys.argv[1]]))
"""


def python(program: str, *words: str) -> str:
    """What *program* prints in a process of its own without torch and without sockets."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH + program, *words], capture_output=True, text=True, timeout=100, check=True
    )
    return done.stdout


def test_whole_detector_without_torch_and_without_sockets():
    told = json.loads(python(DETECTOR))
    assert told.pop("score") > 0.99
    assert told == {"engine": "openvino", "faces": 1, "telemetry": [], "torch": False}


def test_command_without_torch_and_without_sockets():
    (line,) = python(COMMAND, str(resources() / "astronaut.png")).splitlines()
    assert len(json.loads(line)["faces"]) == 1


def test_exported_names():
    for name in engines.__all__:
        assert getattr(engines, name) is not None
