"""FaceDetector: pictures in, faces out."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from rfapp import FaceDetector, engines, proving, weights
from rfapp import detector as detector_module
from rfapp.cli import main
from rfapp.engines import Candidates, machine
from rfapp.errors import EngineFailed, RfappError, SettingsError, UnknownModel, UsageError, WeightsError
from rfapp.looking import built_in_picture, decode, prepare, second_size
from rfapp.models.config import MOBILENET_025
from rfapp.settings import DetectorSettings
from rfapp.sources import read_picture

AT_ORIGINAL_SIZE = ("crowd_selfie.jpg", "solvay_1927.jpg")


@pytest.fixture(scope="module")
def detector():
    with FaceDetector() as detector:
        yield detector


@pytest.fixture(scope="module")
def exact():
    with FaceDetector(precision="float32") as detector:
        yield detector


@pytest.fixture(scope="module")
def face():
    return built_in_picture()


def overlaps(a, b):
    corners = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    both = corners.clip(min=0).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (a, b)]
    return both / (areas[0][:, None] + areas[1][None, :] - both)


def same(one, other, pixels=0.05):
    assert len(one) == len(other)
    np.testing.assert_allclose(one.boxes, other.boxes, atol=pixels)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-3)
    np.testing.assert_allclose(one.landmarks, other.landmarks, atol=pixels)


# ---------------------------------------------------------------------------------------------------- real pictures


def expectations():
    from os import environ
    from pathlib import Path

    folder = environ.get("RFAPP_TEST_DATA")
    if not folder:
        return ["RFAPP_TEST_DATA is not set"]
    told = json.loads((Path(folder) / "photos/expected.json").read_text(encoding="utf-8"))
    return [name for name in told if not name.startswith("_")]


@pytest.mark.parametrize("name", expectations())
def test_photos(detector, test_data, name):
    """Every picture as it comes: the count inside its bounds, and the boxes where a person drew them."""
    told = json.loads((test_data / "photos/expected.json").read_text(encoding="utf-8"))[name]
    size = "original" if name in AT_ORIGINAL_SIZE else 640
    faces = detector(read_picture(test_data / "photos" / name), size=size)
    assert told["count_min"] <= len(faces) <= told["count_max"]
    assert (np.diff(faces.scores) <= 0).all()
    assert (faces.scores > 0.6).all()
    if "boxes" in told and len(faces):
        found = overlaps(np.array(told["boxes"], float), faces.boxes).max(axis=1) >= 0.5
        assert found.sum() >= min(told["count_min"], len(told["boxes"]))


def test_landmarks_lie_where_they_should(detector, face):
    faces = detector(face)
    (left_eye, right_eye, nose, left_mouth, right_mouth), box = faces.landmarks[0], faces.boxes[0]
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
    for point in (left_eye, right_eye, nose, left_mouth, right_mouth):
        assert (box[:2] < point).all()
        assert (point < box[2:]).all()


def test_slope_of_the_first_published_weights(test_data, face):
    """Plain ReLU finds the one face; the slope that later files want finds it three times."""
    path = test_data / "checkpoints/biubug6_first_commit_Final_Retinaface.pth"
    with FaceDetector(path) as right:
        assert len(right(face)) == 1
        assert right.weights.config.slope == 0
    told = weights.find(path)
    with FaceDetector(replace(told, config=replace(told.config, slope=0.1))) as wrong:
        assert len(wrong(face)) > 1


# -------------------------------------------------------------------------------------------------- size and padding


def test_prepare_scales_and_pads_with_the_mean_colour():
    image = np.full((100, 300, 3), 7, np.uint8)
    item = prepare(image, 150, MOBILENET_025)
    assert item.image.shape == (64, 160, 3)
    assert (item.scale_x, item.scale_y) == (2, 2)
    assert (item.image[:50, :150] == 7).all()
    for margin in (item.image[50:], item.image[:, 150:]):
        assert (margin == [104, 117, 123]).all()
    rgb = replace(MOBILENET_025, channel_order="RGB", means=(1.0, 2.0, 3.0))
    assert prepare(image, 150, rgb).image[-1, -1].tolist() == [3, 2, 1]  # the margin stays BGR
    whole = prepare(image, "original", MOBILENET_025)
    assert whole.image.shape == (128, 320, 3)
    assert (whole.scale_x, whole.scale_y) == (1, 1)


def test_prepare_does_not_touch_what_fits():
    image = np.zeros((64, 96, 3), np.uint8)
    assert prepare(image, 96, MOBILENET_025).image is image


@pytest.mark.parametrize("size", [320, 480, 800, "original"])
@pytest.mark.parametrize("scale", [(1.0, 1.0), (2.37, 2.37), (0.61, 0.61), (1.31, 1.0)])
def test_coordinates_are_those_of_the_given_picture(exact, face, size, scale):
    """The same face at another size has the same box once scaled back, to a tenth of the face (120 px high): the
    network's own answer differs by that much when the face is stretched, a mistake in scaling by far more."""
    expected = exact(face)
    image = cv2.resize(face, None, fx=scale[0], fy=scale[1], interpolation=cv2.INTER_AREA)
    found = exact(image, size=size)
    assert len(found) == 1
    factor = np.array([image.shape[1] / 512, image.shape[0] / 512])
    np.testing.assert_allclose(found.boxes[0] / np.tile(factor, 2), expected.boxes[0], atol=12)
    np.testing.assert_allclose(found.landmarks[0] / factor, expected.landmarks[0], atol=12)


def test_shift_of_the_picture_shifts_the_box(exact, face):
    moved = np.full((640, 704, 3), 90, np.uint8)
    moved[64:576, 96:608] = face
    here, there = exact(face, size="original"), exact(moved, size="original")
    np.testing.assert_allclose(there.boxes[0] - here.boxes[0], [96, 64, 96, 64], atol=1.5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2000), (2000, 1), (3, 1000), (31, 33), (32, 32), (7000, 20)])
@pytest.mark.parametrize("size", [640, "original"])
def test_extreme_shapes_do_not_crash(detector, shape, size):
    faces = detector(np.full((*shape, 3), 128, np.uint8), size=size)
    assert len(faces) == 0
    assert faces.boxes.shape == (0, 4)
    assert faces.landmarks.shape == (0, 5, 2)


def test_picture_is_not_changed_and_may_be_read_only(detector, face):
    frozen = cv2.resize(face, (640, 640))
    frozen.flags.writeable = False
    before = frozen.copy()
    assert len(detector(frozen)) == 1
    np.testing.assert_array_equal(frozen, before)
    # views: mirrored, cut out of a larger picture, every second pixel
    assert len(detector(face[:, ::-1])) == 1
    assert len(detector(face[20:300, 100:400])) == 1
    assert len(detector(face[::2, ::2])) == 1


# -------------------------------------------------------------------------------------------------- calls and settings


def test_list_equals_single_pictures(exact, face, test_data):
    """Different sizes, equal sizes, resizing on: in order, and each as if it were alone."""
    group = read_picture(test_data / "photos/group_six.jpg")
    pictures = [face, group, face[:, ::-1], cv2.resize(group, (333, 777)), group[:, ::-1], face]
    together = exact(pictures)
    assert [len(faces) for faces in together] == [len(exact(picture)) for picture in pictures]
    for faces, picture in zip(together, pictures, strict=True):
        same(faces, exact(picture))
    assert exact([]) == []
    assert isinstance(exact((face,)), list)


def test_batches_of_the_engine_equal_single_pictures(exact, face, monkeypatch):
    """An engine that wants eight at once gets them by size, and the last ones even if they are fewer."""
    shared = exact._running()
    sizes = []
    run = shared.engine.candidates
    monkeypatch.setattr(shared.engine, "batch", 3)
    monkeypatch.setattr(
        shared.engine, "candidates", lambda images, score: sizes.append(len(images)) or run(images, score)
    )
    wide = face[100:356]
    pictures = [face, wide, face[:, ::-1], wide[:, ::-1], face, face]
    together = exact(pictures)
    assert sorted(sizes) == [1, 2, 3]
    monkeypatch.undo()
    for faces, picture in zip(together, pictures, strict=True):
        same(faces, exact(picture))


def test_thresholds_for_one_call(exact, test_data):
    picture = read_picture(test_data / "photos/crowd_stadium.jpg")
    usual = exact(picture)
    many = exact(picture, score=0.05)
    assert len(many) > len(usual)
    assert many.scores.min() > 0.05
    few = exact(picture, score=0.95)
    assert 0 < len(few) < len(usual)
    np.testing.assert_array_equal(few.boxes, usual.boxes[usual.scores > 0.95])
    assert len(exact(picture, score=0.05, nms=0.95)) > len(many) >= len(exact(picture, score=0.05, nms=0.05))
    large = exact(picture, min_face=60)
    sides = (usual.boxes[:, 2:] - usual.boxes[:, :2]).max(axis=1)
    np.testing.assert_array_equal(large.boxes, usual.boxes[sides >= 60])
    assert 0 < len(large) < len(usual)
    same(exact(picture), usual)  # and nothing of it stays


@pytest.mark.parametrize(
    "given",
    [
        {"score": 0.0},
        {"score": 2},
        {"nms": "a"},
        {"size": 10},
        {"size": "big"},
        {"min_face": -1},
        {"second_pass": "third"},
    ],
)
def test_values_outside_their_limits(detector, face, given):
    with pytest.raises(SettingsError):
        detector(face, **given)
    with pytest.raises(SettingsError):
        FaceDetector(**given)


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (np.zeros((5, 5), np.uint8), "uint8 5×5"),
        (np.zeros((5, 5, 4), np.uint8), "uint8 5×5×4"),
        (np.zeros((5, 5, 3), np.float32), "float32 5×5×3"),
        (np.zeros((2, 5, 5, 3), np.uint8), "uint8 2×5×5×3"),
        (np.zeros((0, 5, 3), np.uint8), "no pixels"),
        ("picture.jpg", "not str"),
        (None, "not NoneType"),
    ],
)
def test_what_is_no_picture_is_one_sentence(detector, image, told):
    for given in (image, [image]):
        with pytest.raises(UsageError, match=told):
            detector(given)


def test_with_settings_shares_the_engine(face, monkeypatch):
    made = []
    create = engines.create
    monkeypatch.setattr(engines, "create", lambda *given: made.append(given) or create(*given))
    first = FaceDetector(precision="float32", threads=1)
    second = first.with_settings(score=0.9, size=320)
    third = first.with_settings(DetectorSettings(precision="float32", nms=0.2, threads=1))
    assert len(made) == 1
    assert (second.settings.score, second.settings.size, second.settings.precision) == (0.9, 320, "float32")
    assert third.settings.nms == 0.2
    first.close()
    assert len(second(face)) == len(third(face)) == 1  # the others go on
    with pytest.raises(UsageError, match="closed"):
        first(face)
    fourth = second.with_settings(threads=2)
    assert len(made) == 2
    engine = second._running().engine
    for one in (second, third, third, fourth, fourth):
        one.close()
    with pytest.raises(EngineFailed):
        engine.candidates([prepare(face, 320, MOBILENET_025).image], 0.5)
    with pytest.raises(SettingsError, match="no setting"):
        FaceDetector.from_settings(DetectorSettings()).with_settings(colour=1)


def test_from_settings_and_what_it_tells():
    settings = DetectorSettings(size=320, score=0.3, precision="float32", device="cpu")
    with FaceDetector.from_settings(settings) as detector:
        assert detector.settings == settings
        assert (detector.model, detector.engine, detector.device, detector.precision) == (
            "mobilenet0.25",
            engines.resolve("auto", "cpu"),
            "cpu",
            "float32",
        )
        assert detector.notes == ()
        detector.warm_up(320, 240)
        faces, seconds = detector.timed(built_in_picture())
        assert len(faces) == 1
        assert set(seconds) == {"prepare", "network", "decode", "whole"}
        assert seconds["whole"] >= seconds["network"] > 0


def test_the_fingerprint_tells_what_finds_exactly_the_same(detector, exact, tmp_path):
    with FaceDetector(size=320, score=0.9, threads=1) as other:
        assert other.fingerprint == detector.fingerprint  # the network is the same, and what runs it
    assert {exact.fingerprint, detector.fingerprint} == {
        " ".join(
            [one.weights.sha256, "", one.engine, one._shared.engine.version, "cpu", one.device_title, one.precision]
        )
        for one in (exact, detector)
    }
    with FaceDetector(engine="torch", precision="float32") as other:
        assert other.fingerprint != exact.fingerprint
    path = tmp_path / "unknown.onnx"
    path.write_bytes(b"some numbers")
    found = exact.weights
    exact.weights = replace(found, path=path, sha256="")  # a file of which nobody has said what it must hold
    try:
        first = exact.fingerprint
        path.write_bytes(b"some other numbers")
        assert first != exact.fingerprint != detector.fingerprint
        path.unlink()
        with pytest.raises(WeightsError, match="unknown"):
            _ = exact.fingerprint
    finally:
        exact.weights = found


def test_unknown_model():
    with pytest.raises(UnknownModel):
        FaceDetector("no such model")


def test_several_threads_at_once(exact, face):
    expected, problems = exact(face), []

    def work():
        try:
            for _ in range(5):
                same(exact(face), expected)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems


# ------------------------------------------------------------------------------------------------------ broken networks


def test_broken_rows_are_no_faces():
    picture = prepare(np.zeros((64, 64, 3), np.uint8), "original", MOBILENET_025)
    boxes = np.array([[0, 0, 1e30, 0], [np.nan, 0, 0, 0], [0, 0, -1e30, 0], [0, 0, 0, 0]], np.float32)
    rows = Candidates(
        np.array([0, 1, 2, 50]), np.array([0.9, 0.8, 0.7, 0.65], np.float32), boxes, np.zeros((4, 10), np.float32)
    )
    faces = decode(rows, picture, MOBILENET_025, DetectorSettings())
    np.testing.assert_array_equal(faces.scores, np.float32([0.65]))


def test_anchors_of_the_engine_count_before_the_priors():
    picture = prepare(np.zeros((64, 64, 3), np.uint8), "original", MOBILENET_025)
    anchors = np.array([[0.5, 0.5, 0.25, 0.25]], np.float32)
    rows = Candidates(np.array([3]), np.array([0.9], np.float32), np.zeros((1, 4), np.float32), None, anchors)
    faces = decode(rows, picture, MOBILENET_025, DetectorSettings())
    np.testing.assert_allclose(faces.boxes, [[24, 24, 40, 40]])
    assert faces.landmarks is None


def let_half_precision_say(monkeypatch, change):
    """Whatever is asked for, float32 runs; in the name of half precision its rows come as *change* makes them."""
    create = engines.create

    def made_up(model, engine, device, precision, threads):
        made = create(model, engine, "cpu", "float32", threads)
        if precision != "float32":
            made.precision = "bfloat16"
            run = made.candidates
            made.candidates = lambda images, score: [change(rows) for rows in run(images, score)]
        return made

    monkeypatch.setattr(engines, "create", made_up)


@pytest.mark.parametrize("fault", ["shift", "nothing", "fails"])
def test_precision_that_is_wrong_gives_way_to_float32(fault, monkeypatch, face):
    """An engine whose half precision is off on the built-in picture is not used, and it is said."""

    def wrong(rows):
        if fault == "fails":
            raise EngineFailed("It stopped.")
        if fault == "nothing":
            return Candidates(*(part[:0] for part in (rows.priors, rows.scores, rows.boxes, rows.landmarks)))
        return replace(rows, boxes=rows.boxes + np.float32([0.3, 0, 0, 0]))

    let_half_precision_say(monkeypatch, wrong)
    with FaceDetector() as detector:
        assert detector.precision == "float32"
        (note,) = detector.notes
        assert "float32 is used" in note
        assert len(detector(face)) == 1


def test_neighbours_may_change_places_by_rounding(monkeypatch, face):
    """Another prior wins by a hair in half precision: its box may lie elsewhere, and nothing is wrong."""
    answer = weights.find("mobilenet0.25").answer

    def second_first(rows):
        order = np.argsort(-rows.scores)
        scores = rows.scores.copy()
        scores[order[:2]] = scores[order[1::-1]]
        return replace(rows, scores=scores)

    let_half_precision_say(monkeypatch, second_first)
    with FaceDetector() as detector:
        assert (detector.precision, detector.notes) == ("bfloat16", ())
        box = detector(built_in_picture(), size=answer.size).boxes[0]
    assert np.abs(box - np.array(answer.box)).max() > 1  # else this would show nothing


@pytest.mark.measures_threads
def test_precision_proves_itself_once_and_threads_are_measured_once(monkeypatch, face):
    """On a computer: the second start asks no more, another model does."""
    pytest.importorskip("openvino")
    tried, measured = [], []
    deviation, measure = proving._deviation, engines.measure_threads
    monkeypatch.setattr(proving, "_deviation", lambda *given: tried.append(1) or deviation(*given))
    monkeypatch.setattr(machine, "cores", lambda: 2)
    monkeypatch.setattr("rfapp.engines.openvino_engine.half_precision", lambda: "bfloat16")

    def two_are_best(model, engine, precision):
        measured.append((engine, precision))
        machine.remember_times(engine, model, precision, {1: 0.01, 2: 0.005})

    monkeypatch.setattr(engines, "measure_threads", two_are_best)
    for _ in range(2):
        with FaceDetector(engine="openvino") as detector:
            assert (detector.precision, detector.threads) == ("bfloat16", 2)
            assert len(detector(face)) == 1
    assert (len(tried), measured) == (1, [("openvino", "bfloat16")])
    with FaceDetector(engine="openvino", threads=1) as detector:  # asked for: nothing is measured
        assert detector.threads == 1
    assert len(measured) == 1
    monkeypatch.setattr(engines, "measure_threads", measure)
    engines.measure_threads(weights.find("mobilenet0.25"), "openvino", seconds=0.02)
    assert list(machine.measured_times("openvino", weights.find("mobilenet0.25"), "bfloat16")) == [1, 2]


def test_proof_without_a_stored_answer(monkeypatch):
    """A file that brings no answer is compared with its own float32."""
    model = replace(weights.find("mobilenet0.25"), answer=None)
    tried = []
    try_out = detector_module.try_out
    monkeypatch.setattr(detector_module, "try_out", lambda model: tried.append(model) or try_out(model))
    with FaceDetector(model, precision="bfloat16") as detector:
        assert detector.precision == "bfloat16"
        with detector.with_settings(precision="float32") as other:  # the same model, not one found by its name
            assert other.weights is model
    assert tried == [model]


def test_stored_answer_is_what_float32_says():
    for name in weights.float_models():
        model = weights.find(name)
        (faces,) = [detector_module.try_out(model)]
        np.testing.assert_allclose(faces.boxes[0], model.answer.box, atol=0.05)
        np.testing.assert_allclose(faces.landmarks[0], model.answer.landmarks, atol=0.05)
        assert faces.scores[0] == pytest.approx(model.answer.score, abs=1e-4)


# ------------------------------------------------------------------------------------------------------------- bench


@pytest.mark.measures_threads
def test_bench(capsys):
    assert main(["bench", "--repeat", "2", "--size", "320", "--sweep-threads", "--json", "--device", "cpu"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["width"], told["height"], told["size"], told["repeat"]) == (640, 480, 320, 2)
    assert told["faces"] >= 1
    assert told["sweep"][0]["threads"] == 1
    kinds = [(one["engine"], one["precision"]) for one in (told, *told["others"])]
    assert len(set(kinds)) == len(kinds)
    assert set(kinds) >= {(engine, "float32") for engine in engines.available()}
    assert [engine for engine, precision in kinds if precision == "int8"] == ["openvino"]
    for one in (told, *told["others"], *told["sweep"]):
        assert set(one["ms"]) == {"prepare", "network", "decode", "whole", "bare"}
        assert one["ms"]["bare"]["median"] > 0
        assert one["ms"]["whole"]["median"] >= one["ms"]["network"]["median"] > 0
        assert one["ms"]["whole"]["p95"] >= one["ms"]["whole"]["median"]


def test_bench_tells_what_runs_otherwise(capsys, test_data):
    picture = str(test_data / "photos/tiny32.png")
    assert main(["bench", "--repeat", "1", "--image", picture, "--precision", "float16", "--device", "cpu"]) == 0
    out, err = capsys.readouterr()
    assert "32×32" in out
    assert "whole\t" in out
    assert "float16 was asked for" in err
    assert main(["bench", "--image", "gone.jpg"]) == 1
    with pytest.raises(SystemExit) as end:
        main(["bench", "--repeat", "0"])
    assert end.value.code == 2


def test_every_error_of_the_detector_is_ours(detector):
    for given in (object(), [object()], np.zeros(3)):
        with pytest.raises(RfappError):
            detector(given)


def test_a_second_look_finds_what_the_first_size_misses(test_data):
    crowd = read_picture(test_data / "photos" / "crowd_selfie.jpg")
    with FaceDetector(size=320) as once, once.with_settings(second_pass="original") as twice:
        few, more = once(crowd), twice(crowd)
        assert len(more) > 2 * len(few)
        assert (np.diff(more.scores) <= 0).all()
        assert len(more.landmarks) == len(more)
        # No face twice.
        among = overlaps(more.boxes, more.boxes)
        np.fill_diagonal(among, 0)
        assert among.max() <= 0.4
        together = twice([crowd, crowd[:600, :800]])
        np.testing.assert_array_equal(together[0].boxes, more.boxes)
        np.testing.assert_array_equal(together[1].scores, twice(crowd[:600, :800]).scores)
        same(once(crowd, second_pass="original"), more)
        same(twice(crowd, second_pass="off"), few)


def test_a_second_look_at_half_size_finds_a_face_that_fills_the_picture(face):
    close = cv2.resize(face[40:200, 160:290], None, fx=12, fy=12, interpolation=cv2.INTER_CUBIC)
    with FaceDetector(size="original") as once, once.with_settings(second_pass="half") as twice:
        before = max(once(close, score=0.02).scores, default=0)
        assert max(twice(close, score=0.02).scores, default=0) >= before
        half = once(close, size=max(close.shape) // 2, score=0.02)
        assert len(half)
        assert max(twice(close, score=0.02).scores) == pytest.approx(max(before, half.scores[0]), abs=1e-6)


@pytest.mark.parametrize(("second_pass", "size"), [("original", "original"), ("original", 512), ("off", 640)])
def test_no_second_look_at_the_same_size(face, second_pass, size):
    settings = DetectorSettings(second_pass=second_pass, size=size)
    assert second_size(face, settings) is None


def test_both_sides_are_scaled_by_one_factor():
    # 798 · 0.625 = 498.75 rows: squeezed into 499 whole ones, everything would be a little too tall.
    image = np.zeros((798, 1024, 3), np.uint8)
    prepared = prepare(image, 640, MOBILENET_025)
    assert prepared.image.shape == (512, 640, 3)
    assert prepared.scale_x == prepared.scale_y == 1.6
    strip = prepare(np.zeros((1, 4000, 3), np.uint8), 640, MOBILENET_025)
    assert (strip.scale_x, strip.scale_y) == (6.25, 1.0)
