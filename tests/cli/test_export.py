"""Files for other programs: run by onnxruntime and OpenVINO, and never left when they are wrong."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip("openvino")

from rfapp import FaceDetector
from rfapp.cli import main
from rfapp.engines import exporting
from rfapp.looking import built_in_picture


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def picture():
    return cv2.resize(built_in_picture(), (320, 256))


def tensor(picture):
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None], dtype=np.float32)


def test_decoded_boxes_are_those_of_the_detector(here, picture, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    assert main(["export", "onnx", "--with-decode", "--size", "320x256", "--output", "face.onnx", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["output"] == "face.onnx"
    assert told["score_difference"] < 1e-4
    session = onnxruntime.InferenceSession("face.onnx", providers=["CPUExecutionProvider"])
    boxes, scores, landmarks = session.run(["boxes", "scores", "landmarks"], {"pictures": tensor(picture)})
    best = scores[0].argmax()
    faces = FaceDetector(precision="float32", size="original", threads=1)(picture)
    np.testing.assert_allclose(boxes[0, best], faces.boxes[0], atol=0.05)
    np.testing.assert_allclose(scores[0, best], faces.scores[0], atol=1e-4)
    np.testing.assert_allclose(landmarks[0, best].reshape(5, 2), faces.landmarks[0], atol=0.05)


def test_dynamic_file_takes_any_size_and_batches(here, picture):
    onnxruntime = pytest.importorskip("onnxruntime")
    assert main(["export", "onnx", "--dynamic", "--quiet"]) == 0
    session = onnxruntime.InferenceSession("mobilenet0.25.onnx", providers=["CPUExecutionProvider"])
    both = np.concatenate([tensor(picture), tensor(picture[::-1])])
    boxes, scores, landmarks = session.run(["boxes", "scores", "landmarks"], {"pictures": both})
    count = 2 * (40 * 32 + 20 * 16 + 10 * 8)
    assert (boxes.shape, scores.shape, landmarks.shape) == ((2, count, 4), (2, count), (2, count, 10))
    assert scores[0].max() > 0.9
    assert [path.name for path in here.iterdir()] == ["mobilenet0.25.onnx"]


def test_openvino_form(here, picture, capsys):
    import openvino as ov

    assert main(["export", "openvino", "--size", "320x256", "--output", "out/face.xml"]) == 0
    assert "compared" in capsys.readouterr().out
    assert sorted(path.name for path in (here / "out").iterdir()) == ["face.bin", "face.xml"]
    compiled = ov.Core().compile_model("out/face.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert compiled(tensor(picture))["scores"].max() > 0.9


def test_what_is_there_stays(here, capsys):
    (here / "mobilenet0.25.onnx").write_text("mine")
    assert main(["export", "onnx"]) == 1
    assert "there already" in capsys.readouterr().err
    assert (here / "mobilenet0.25.onnx").read_text() == "mine"
    assert main(["export", "onnx", "--size", "64x64", "--force"]) == 0
    assert (here / "mobilenet0.25.onnx").stat().st_size > 1_000_000


def test_file_that_says_something_else_is_not_left(here, capsys, monkeypatch):
    right = exporting.export_onnx

    def wrong(model, form):
        return right(replace(model, config=replace(model.config, means=(0.0, 0.0, 0.0))), form)

    monkeypatch.setattr(exporting, "export_onnx", wrong)
    assert main(["export", "onnx"]) == 1
    assert "other results" in capsys.readouterr().err
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["onnx", "--dynamic", "--with-decode"], 2),
        (["torchscript", "--dynamic", "--with-nms"], 2),
        (["torchscript", "--output", "face.onnx"], 2),
        (["onnx", "--output", "face.xml"], 2),
        (["onnx", "--model", "abacus"], 1),
        (["onnx", "--output", "file/face.onnx"], 1),
    ],
    ids=str,
)
def test_mistakes_are_sentences(here, capsys, words, code):
    (here / "file").write_text("")
    assert main(["export", *words]) == code
    assert capsys.readouterr().err.startswith("rfapp: ")


def run_onnx(file, pictures):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return session.run(["boxes", "scores", "landmarks"], {"pictures": pictures})


def run_openvino(file, pictures):
    import openvino as ov

    compiled = ov.Core().compile_model(file, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    told = {output.get_any_name(): np.array(value) for output, value in compiled(pictures).items()}
    return [told[name] for name in ("boxes", "scores", "landmarks")]


def run_torch(file, pictures):
    torch = pytest.importorskip("torch")
    with torch.inference_mode():
        return [value.numpy() for value in torch.jit.load(file)(torch.from_numpy(pictures))]


FORMS = {"onnx": (".onnx", run_onnx), "openvino": (".xml", run_openvino), "torchscript": (".pt", run_torch)}


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("form", FORMS)
def test_with_nms_only_faces_come_out_best_first(here, form, capsys):
    if form == "torchscript":
        pytest.importorskip("torch")
    suffix, run = FORMS[form]
    words = ["--with-nms", "--size", "640x512", "--score", "0.5", "--nms", "0.3", "--output", f"face{suffix}"]
    assert main(["export", form, *words]) == 0
    assert "compared" in capsys.readouterr().out
    four = np.tile(cv2.resize(built_in_picture(), (320, 256)), (2, 2, 1))
    faces = FaceDetector(precision="float32", engine="openvino", size="original", score=0.5, nms=0.3, threads=1)(four)
    assert len(faces) >= 4
    boxes, scores, landmarks = run(f"face{suffix}", tensor(four))
    assert (boxes.shape, scores.shape, landmarks.shape) == ((len(faces), 4), (len(faces),), (len(faces), 10))
    assert (np.diff(scores) <= 0).all()
    # Equal scores may change places.
    mine, theirs = np.lexsort(boxes.round().T), np.lexsort(faces.boxes.round().T)
    np.testing.assert_allclose(boxes[mine], faces.boxes[theirs], atol=0.05)
    np.testing.assert_allclose(scores[mine], faces.scores[theirs], atol=1e-4)
    np.testing.assert_allclose(landmarks[mine].reshape(-1, 5, 2), faces.landmarks[theirs], atol=0.05)
    boxes, scores, landmarks = run(f"face{suffix}", tensor(np.zeros_like(four)))
    assert (boxes.shape, scores.shape, landmarks.shape) == ((0, 4), (0,), (0, 10))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_takes_any_size_and_batches(here, picture):
    pytest.importorskip("torch")
    assert main(["export", "torchscript", "--dynamic", "--quiet"]) == 0
    both = np.concatenate([tensor(picture), tensor(picture[::-1])])
    boxes, scores, landmarks = run_torch("mobilenet0.25.pt", both)
    count = 2 * (40 * 32 + 20 * 16 + 10 * 8)
    assert (boxes.shape, scores.shape, landmarks.shape) == ((2, count, 4), (2, count), (2, count, 10))
    assert scores[0].max() > 0.9


def test_torchscript_without_torch_is_a_sentence(here, capsys, without):
    without("torch")
    assert main(["export", "torchscript"]) == 1
    assert "torch is not installed" in capsys.readouterr().err
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("size", ["640", "640x481", "0x32", "axb"])
def test_sizes(size):
    with pytest.raises(SystemExit) as end:
        main(["export", "onnx", "--size", size])
    assert end.value.code == 2
