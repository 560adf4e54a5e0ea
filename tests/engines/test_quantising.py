"""The int8 form of a model: made, found, run, refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("openvino")

from rfapp import FaceDetector, engines, weights
from rfapp.cli import main
from rfapp.errors import (
    EngineFailed,
    EngineMissing,
    OutputExists,
    SettingsError,
    UsageError,
    WeightsAltered,
    WeightsError,
    WeightsMissing,
)
from rfapp.looking import built_in_picture, prepare
from rfapp.models.config import MOBILENET_025
from rfapp.sources import read_picture
from rfapp.weights.removing import remove_model

BASE = "mobilenet0.25-imported"
ROOT = Path(__file__).parents[2]


def pictures():
    """The built-in picture in several sizes and lights."""
    picture = built_in_picture()
    lights = [np.clip(picture * factor, 0, 255).astype(np.uint8) for factor in (0.5, 1.0, 1.4)]
    return [prepare(light, size, MOBILENET_025).image for light in lights for size in (320, 640)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with an int8 form in it."""
    pytest.importorskip("nncf", reason="quantising needs NNCF")
    from rfapp.engines.openvino_quantising import quantise

    folder = tmp_path_factory.mktemp("int8")
    quantise(weights.find(BASE), pictures(), "small", folder, force=False)
    return folder


@pytest.fixture
def own(made):
    """The int8 form among the user's own models."""
    shutil.copytree(made, weights.own_folder(), dirs_exist_ok=True)
    return weights.own_folder()


def test_precision_int8_finds_the_form_of_the_model(own):
    model = weights.find(BASE)
    form = weights.int8_form(model)
    assert (form.name, form.int8_of, form.config) == ("small", model.sha256, model.config)
    with (
        FaceDetector(BASE, precision="int8", threads=1) as rough,
        FaceDetector(BASE, "openvino", precision="float32", threads=1) as exact,
    ):
        assert (rough.model, rough.engine, rough.precision, rough.notes) == (BASE, "openvino", "int8", ())
        ours, theirs = rough(built_in_picture()), exact(built_in_picture())
    assert len(ours) == len(theirs) == 1
    assert not np.array_equal(ours.boxes, theirs.boxes)  # it is another network
    assert np.abs(ours.boxes - theirs.boxes).max() < 4
    assert np.abs(ours.scores - theirs.scores).max() < 0.02


def test_the_form_goes_by_its_own_name_too(own):
    with FaceDetector("small", threads=1) as detector:
        assert (detector.model, detector.precision) == ("small", "int8")
        assert len(detector(built_in_picture())) == 1
    with FaceDetector("small", precision="float32", threads=1) as detector:
        assert detector.precision == "int8"
        assert "int8 form" in detector.notes[0]


def test_a_form_of_a_model_that_finds_no_face_in_the_built_in_picture_runs_too(own):
    """There is nothing to compare it with: its float32 numbers are not in it."""
    with FaceDetector(replace(weights.find("small"), answer=None), threads=1) as detector:
        assert detector.precision == "int8"
        assert len(detector(built_in_picture())) == 1


def test_most_of_it_is_in_int8(own):
    """A quarter of the numbers' size in float32 would be all of it; what stays is small."""
    form = weights.find("small")
    assert form.bin_bytes < 0.45 * weights.find(BASE).onnx_bytes
    import openvino as ov

    layers = ov.Core().read_model(form.path).get_ops()
    eight = [
        layer for layer in layers if layer.get_type_name() == "Constant" and layer.get_element_type() == ov.Type.i8
    ]
    assert len(eight) > 20


def test_damage_is_told(own):
    path = weights.find("small").bin_path
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(WeightsAltered, match="small are damaged"):
        FaceDetector(BASE, precision="int8")


def test_an_answer_that_is_off_is_no_answer(own):
    form = weights.find("small")
    wrong = replace(form, answer=replace(form.answer, box=tuple(value + 20 for value in form.answer.box)))
    with pytest.raises(EngineFailed, match="gives wrong results here: off by 2"):
        FaceDetector(wrong, threads=1)


def test_another_config_is_another_network(own):
    model = weights.find(BASE)
    with pytest.raises(WeightsMissing):
        weights.int8_form(replace(model, config=replace(model.config, slope=0.2)))


def test_it_can_be_removed(own):
    remove_model("small")
    assert sorted(path.name for path in own.iterdir()) == ["manifest.toml"]


def test_what_needs_float_numbers_refuses_it(own, tmp_path, capsys):
    for command in (["export", "onnx", "--model", "small", "--output", str(tmp_path / "a.onnx")],
                    ["weights", "quantize", "small", "--calibrate", str(tmp_path)]):  # fmt: skip
        assert main(command) != 0
        assert "is an int8 form" in capsys.readouterr().err
    with pytest.raises(WeightsError, match="int8 form"):
        weights.read_onnx(weights.find("small"))


@pytest.mark.parametrize("options", [{"engine": "torch"}, {"device": "cuda"}])
def test_int8_is_for_openvino_on_the_cpu(options, monkeypatch):
    monkeypatch.setattr(engines, "int8_form", lambda model: model)
    with pytest.raises(UsageError, match="int8 runs with the engine openvino on the CPU"):
        engines.create(weights.find(BASE), precision="int8", **options)


def test_without_a_form_the_sentence_tells_how_to_make_one(tmp_path):
    model = replace(weights.find(BASE), sha256="0" * 64, name="mine")
    with pytest.raises(WeightsMissing, match=r"no int8 form of the model mine.*rfapp weights quantize mine"):
        engines.create(model, precision="int8")


def test_auto_does_not_take_int8(own):
    with FaceDetector(BASE, threads=1) as detector:
        assert detector.precision != "int8"


def test_quantising_needs_nncf(tmp_path, monkeypatch):
    from rfapp.engines.openvino_quantising import quantise

    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(EngineMissing, match="pip install nncf"):
        quantise(weights.find(BASE), pictures(), "small", tmp_path, force=False)


def test_names_are_not_taken_from_others(tmp_path):
    from rfapp.engines.openvino_quantising import quantise

    (tmp_path / "small.bin").touch()
    with pytest.raises(OutputExists, match="There is a model small already"):
        quantise(weights.find(BASE), pictures(), "small", tmp_path, force=False)
    with pytest.raises(SettingsError):
        quantise(weights.find(BASE), pictures(), "../small", tmp_path, force=False)


def test_nncf_tells_nobody_that_it_is_used():
    pytest.importorskip("nncf", reason="quantising needs NNCF")
    program = (
        "import sys; from rfapp.engines import import_openvino; import_openvino()\n"
        "from rfapp.engines.openvino_quantising import _import_nncf; _import_nncf()\n"
        "from nncf.telemetry import wrapper\n"
        "print('openvino_telemetry' in sys.modules, isinstance(wrapper.telemetry, wrapper.NNCFTelemetryStub))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert told.stdout.split() == ["False", "True"]


def test_the_command_makes_one(tmp_path, capsys):
    pytest.importorskip("nncf", reason="quantising needs NNCF")
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, picture in enumerate(pictures()):
        cv2.imwrite(str(folder / f"{number}.png"), picture)
    (folder / "broken.jpg").write_bytes(b"no picture")
    assert main(["weights", "quantize", BASE, "--calibrate", str(folder), "--name", "made", "--json", "--quiet"]) == 0
    told = capsys.readouterr()
    answer = json.loads(told.out)  # nothing else goes there
    assert answer["faces_float32"] == answer["faces_int8"] == 6
    assert "broken.jpg" in told.err
    assert weights.int8_form(weights.find(BASE)).name == "made"
    assert main(["weights", "quantize", BASE, "--calibrate", str(folder / "broken.jpg")]) != 0
    assert "None of the pictures" in capsys.readouterr().err


def test_the_default_model_comes_with_its_int8_form():
    """Made of its very numbers: whoever changes them makes the int8 form again (weights/README.md)."""
    form = weights.int8_form(weights.find("mobilenet0.25"))
    assert form.shipped
    with FaceDetector(precision="int8", threads=1) as detector:
        assert (detector.precision, detector.notes) == ("int8", ())
        assert len(detector(built_in_picture())) == 1


def test_int8_finds_the_faces_that_float32_finds(test_data):
    """Boxes may be a few pixels off; nobody is lost who is not next to the threshold."""
    model = weights.find("mobilenet0.25")
    found = {"int8": 0, "float32": 0}
    with (
        FaceDetector(model, precision="int8", score=0.5, threads=1) as rough,
        FaceDetector(model, "openvino", precision="float32", score=0.5, threads=1) as exact,
    ):
        for path in sorted((test_data / "photos").iterdir()):
            if path.suffix == ".json":
                continue
            image = read_picture(path)
            sure, ours = exact(image, score=0.7), rough(image)
            found["int8"] += len(ours)
            found["float32"] += len(exact(image))
            for box in sure.boxes:
                off = np.abs(ours.boxes - box).max(axis=1).min()
                assert off <= 0.15 * (box[2:] - box[:2]).max(), path.name
    assert abs(found["int8"] - found["float32"]) <= 0.03 * found["float32"]
