"""OpenVINO: sizes, compiled models on disk, memory, and what is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("openvino")

from rfapp import engines, weights
from rfapp.engines import openvino_engine
from rfapp.errors import EngineFailed, WeightsAltered
from rfapp.looking import built_in_picture, prepare
from rfapp.models.config import MOBILENET_025


def create(model=None, **options):
    return engines.create(weights.find("mobilenet0.25") if model is None else model, "openvino", **options)


@pytest.fixture
def engine():
    engine = create(precision="float32", threads=1)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def picture():
    return prepare(built_in_picture(), 320, MOBILENET_025).image


def compilations(monkeypatch):
    """Counts what is compiled anew."""
    calls = []
    build = openvino_engine.build
    monkeypatch.setattr(openvino_engine, "build", lambda *a, **k: calls.append(1) or build(*a, **k))
    return calls


def test_says_what_it_is(engine):
    assert (engine.name, engine.device, engine.device_title, engine.precision) == ("openvino", "cpu", "CPU", "float32")
    assert (engine.threads, engine.notes) == (1, ())
    assert engine.version.startswith("20")


def test_only_rows_above_the_score_come_back(engine, picture):
    everything = engine.candidates([picture], 0.0)[0]
    assert sorted(everything.priors) == list(range(2 * (40 * 40 + 20 * 20 + 10 * 10)))
    some = engine.candidates([picture], 0.5)[0]
    assert 0 < len(some.scores) < 100
    assert some.scores.min() > 0.5
    assert set(some.priors) == set(everything.priors[everything.scores > 0.5])
    assert some.priors.dtype == np.int64
    assert len(engine.candidates([picture], 1.0)[0].scores) == 0


def test_rows_outlive_the_next_picture(engine, picture):
    first = engine.candidates([picture], 0.5)[0]
    boxes, landmarks = first.boxes.copy(), first.landmarks.copy()
    engine.candidates([np.zeros_like(picture)], 0.5)
    np.testing.assert_array_equal(first.boxes, boxes)
    np.testing.assert_array_equal(first.landmarks, landmarks)


def test_read_only_and_strided_pictures(engine, picture):
    frozen = picture.copy()
    frozen.flags.writeable = False
    wide = np.repeat(picture, 2, axis=1)[:, ::2]
    expected = engine.candidates([picture.copy()], 0.5)[0]
    for image in (frozen, wide):
        np.testing.assert_array_equal(engine.candidates([image], 0.5)[0].boxes, expected.boxes)
    assert not frozen.flags.writeable


def test_batch_gives_what_single_calls_give(engine, picture):
    pictures = [picture, picture[::-1], np.zeros_like(picture)]
    for got, image in zip(engine.candidates(pictures, 0.3), pictures, strict=True):
        np.testing.assert_array_equal(got.boxes, engine.candidates([image], 0.3)[0].boxes)


def test_sizes_give_the_same_whichever_network_runs_them(engine, picture):
    """Two sizes have their own network at once, the third only when it comes again and again."""
    for shape in ((64, 96, 3), (96, 64, 3)):
        engine.candidates([np.zeros(shape, np.uint8)], 0.5)
    shared = engine.candidates([picture], 0.1)[0]
    assert picture.shape[:2] not in engine._sizes
    for _ in range(openvino_engine._IN_A_ROW):
        own = engine.candidates([picture], 0.1)[0]
    assert picture.shape[:2] in engine._sizes
    np.testing.assert_array_equal(own.priors, shared.priors)
    np.testing.assert_allclose(own.boxes, shared.boxes, atol=1e-4)
    np.testing.assert_allclose(own.scores, shared.scores, atol=1e-5)


def test_compiled_networks_are_bounded(engine):
    for rows in range(1, 12):
        for _ in range(openvino_engine._IN_A_ROW):
            engine.candidates([np.zeros((32 * rows, 32, 3), np.uint8)], 0.5)
    assert len(engine._sizes) == openvino_engine._SIZES


@pytest.mark.parametrize(("name", "precision"), [("mobilenet0.25", "auto"), ("mnet0.25-gray", "float32")])
def test_both_forms_of_a_network_give_the_same(picture, name, precision):
    engine = create(weights.find(name), precision=precision, threads=2)
    engine.expect(picture.shape[:2])
    (forms,) = engine._sizes.values()
    results = []
    for request in forms._requests:
        one = openvino_engine._Forms(request)
        results.append(one.run(picture).copy())
    assert len(results) == 2
    np.testing.assert_array_equal(*results)
    assert results[0][:, 0].max() > 1
    engine.close()
    with pytest.raises(EngineFailed, match="closed"):
        engine.expect(picture.shape[:2])


def test_what_comes_often_in_a_row_is_compiled_in_a_second_form(monkeypatch, picture):
    calls = compilations(monkeypatch)
    engine = create(threads=2)
    for _ in range(2 * openvino_engine._OFTEN):  # a folder of pictures
        engine.candidates([picture], 0.3)
        engine.candidates([picture[:64]], 0.3)
    assert len(calls) == 2
    for _ in range(openvino_engine._OFTEN):
        engine.candidates([picture], 0.3)
    assert len(calls) == 3
    engine.close()


def test_a_second_form_that_can_not_be_made_is_done_without(monkeypatch, picture):
    build = openvino_engine.build

    def fail(*given, apart, **options):
        if apart:
            raise RuntimeError("no memory")
        return build(*given, **options)

    monkeypatch.setattr(openvino_engine, "build", fail)
    engine = create(threads=2)
    for _ in range(openvino_engine._OFTEN + 2):
        found = engine.candidates([picture], 0.5)[0]
    assert len(found.scores) > 0
    engine.close()


@pytest.mark.parametrize(("threads", "side"), [(1, 320), (2, 704)])
def test_no_second_form_where_it_can_not_help(monkeypatch, own_folders, threads, side):
    calls = compilations(monkeypatch)
    engine = create(threads=threads)
    for _ in range(2):
        engine.expect((side, side))
    assert len(calls) == 1
    engine.close()


def test_second_start_compiles_nothing(monkeypatch, own_folders, picture):
    calls = compilations(monkeypatch)
    results = []
    for _ in range(2):
        engine = create()
        results.append(engine.candidates([picture], 0.3)[0])
        engine.close()
    assert len(calls) == 1
    np.testing.assert_array_equal(results[0].boxes, results[1].boxes)
    assert len(list((own_folders / "cache" / "openvino").glob("*.blob"))) == 1


def test_thread_count_holds_for_a_network_from_disk(picture, own_folders):
    for threads in (2, 1, 2):
        engine = create(threads=threads)
        engine.candidates([picture], 0.3)
        (forms,) = engine._sizes.values()
        (request,) = forms._requests
        assert request.get_compiled_model().get_property("INFERENCE_NUM_THREADS") == threads
        engine.close()
    # One file serves every number of threads.
    assert len(list((own_folders / "cache" / "openvino").glob("*.blob"))) == 1


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_damaged_cache_is_made_again(monkeypatch, own_folders, picture, damage):
    engine = create(precision="float32")
    expected = engine.candidates([picture], 0.3)[0]
    (file,) = (own_folders / "cache" / "openvino").glob("*.blob")
    content = file.read_bytes()
    file.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:] if damage is None else damage)
    calls = compilations(monkeypatch)
    again = create(precision="float32").candidates([picture], 0.3)[0]
    assert len(calls) == 1
    np.testing.assert_array_equal(again.boxes, expected.boxes)
    assert len(openvino_engine._read(file)) > 1_000_000


def test_cache_that_can_not_be_written(own_folders, picture):
    (own_folders / "cache").write_bytes(b"a file where the folder should be")
    assert len(create().candidates([picture], 0.5)[0].scores) > 0


@pytest.mark.parametrize(("limit", "value"), [("_FILES", 3), ("_BYTES", 6_500_000)])
def test_cache_is_bounded(own_folders, monkeypatch, limit, value):
    monkeypatch.setattr(openvino_engine, limit, value)
    engine = create()
    for rows in range(1, 6):
        for _ in range(openvino_engine._IN_A_ROW):
            engine.candidates([np.zeros((32 * rows, 32, 3), np.uint8)], 0.5)
    assert len(list((own_folders / "cache" / "openvino").glob("*.blob"))) == 3


def test_precision_that_the_cpu_lacks(monkeypatch):
    for half, expected in (("bfloat16", "bfloat16"), ("", "float32")):
        monkeypatch.setattr(openvino_engine, "half_precision", lambda half=half: half)
        assert create().precision == expected
        asked = create(precision="float16")
        assert asked.precision == expected
        assert "float16" in asked.notes[0]
        assert expected in asked.notes[0]


def test_closed(engine, picture):
    engine.close()
    engine.close()
    with pytest.raises(EngineFailed, match="closed"):
        engine.candidates([picture], 0.5)


def test_failure_is_one_sentence(engine):
    with pytest.raises(EngineFailed) as caught:
        engine.candidates([np.zeros((32, 32, 4), np.uint8)], 0.5)
    assert "\n" not in str(caught.value)


def test_altered_file_is_refused(shipped_copy):
    model = weights.find("mobilenet0.25")
    model.onnx_path.write_bytes(model.onnx_path.read_bytes()[:-1] + b"x")
    with pytest.raises(WeightsAltered, match=r"mobilenet0\.25\.onnx"):
        create(model).candidates([np.zeros((32, 32, 3), np.uint8)], 0.5)


def test_weights_without_an_onnx_file(picture):
    """A safetensors file alone is enough."""
    model = weights.find("mobilenet0.25")
    alone = create(replace(model, onnx_sha256="", onnx_bytes=0), precision="float32")
    np.testing.assert_array_equal(
        alone.candidates([picture], 0.3)[0].boxes, create(precision="float32").candidates([picture], 0.3)[0].boxes
    )


def test_channel_order_and_means(picture):
    """A network for RGB is given RGB: the same numbers with its channels turned round see the turned picture alike."""
    model = weights.find("mobilenet0.25")
    turned = replace(model, config=replace(model.config, channel_order="RGB", means=(104.0, 117.0, 123.0)))
    expected = create(precision="float32").candidates([picture], 0.3)[0]
    got = create(turned, precision="float32").candidates([np.ascontiguousarray(picture[..., ::-1])], 0.3)[0]
    np.testing.assert_allclose(got.boxes, expected.boxes, atol=1e-5)


def test_memory_stays_bounded_with_pictures_of_many_sizes():
    import psutil

    engine = create(precision="float32", threads=1)
    everything = np.zeros((480, 480, 3), np.uint8)
    sizes = [(32 * rows, 32 * columns) for rows in range(1, 16) for columns in range(1, 16)]
    np.random.default_rng(0).shuffle(sizes)

    def run(some):
        for height, width in some:
            engine.candidates([np.ascontiguousarray(everything[:height, :width])], 0.5)
        return psutil.Process().memory_info().rss

    engine.candidates([everything], 0.5)
    warm = run(sizes[:75])
    # Without a limit on what OpenVINO keeps for each size it would be 300 MB.
    assert run(sizes[75:]) - warm < 40e6
