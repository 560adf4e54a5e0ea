"""What an engine promises, beside agreement."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rfapp import engines, weights  # noqa: E402
from rfapp.engines import torch_engine  # noqa: E402
from rfapp.engines.torch_network import InferenceNetwork, fold_batch_norm, use_onednn  # noqa: E402
from rfapp.errors import DeviceMissing, EngineFailed, EngineMissing  # noqa: E402
from rfapp.looking import built_in_picture, prepare  # noqa: E402
from rfapp.models import MOBILENET_025, RESNET50, RetinaFace  # noqa: E402
from rfapp.weights import checkpoints  # noqa: E402


def create(model, **options):
    return engines.create(model, "torch", **options)


@pytest.fixture
def engine():
    engine = create(weights.find("mobilenet0.25"), precision="float32")
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def picture():
    return prepare(built_in_picture(), 320, MOBILENET_025).image


def test_says_what_it_is(engine):
    assert (engine.name, engine.device, engine.device_title, engine.precision) == ("torch", "cpu", "CPU", "float32")
    assert engine.threads >= 1
    assert engine.notes == ()


def test_folding_changes_nothing_and_leaves_no_batch_norm():
    torch.manual_seed(0)
    network = RetinaFace(MOBILENET_025, "test").eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 2)
            module.bias.data.normal_()
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        before = network(x)
        fold_batch_norm(network)
        for mine, theirs in zip(network(x), before, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("config", [MOBILENET_025, RESNET50], ids=lambda config: config.architecture)
def test_inference_network_is_the_network(config):
    """The same rows as the plain network, for a batch, whatever the trunk."""
    torch.manual_seed(1)
    network = RetinaFace(config, "test").eval()
    images = torch.randint(0, 255, (2, 64, 96, 3), dtype=torch.uint8)
    with torch.no_grad():
        x = images.permute(0, 3, 1, 2).float() - torch.tensor(config.means).view(1, 3, 1, 1)
        boxes, classes, landmarks = network(x)
        cells = torch.cat(InferenceNetwork(network, torch.float32).eval()(images), dim=1)
    torch.testing.assert_close(cells[..., :2].reshape(2, -1).sigmoid(), classes[..., 1], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(cells[..., 2:10].reshape(2, -1, 4), boxes, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(cells[..., 10:].reshape(2, -1, 10), landmarks, rtol=1e-3, atol=1e-3)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")
@pytest.mark.parametrize("config", [MOBILENET_025, RESNET50], ids=lambda config: config.architecture)
def test_onednn_says_the_same(config):
    """Convolutions with packed weights, and with the activation in the same go where one follows in a sequence."""
    torch.manual_seed(3)
    network = InferenceNetwork(RetinaFace(config, "test").eval(), torch.float32).eval()
    images = torch.randint(0, 255, (2, 64, 96, 3), dtype=torch.uint8)
    with torch.inference_mode():
        before = network(images)
        use_onednn(network)
        after = network(images)
    for mine, theirs in zip(after, before, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)
    assert not any(isinstance(module, torch.nn.Conv2d) for module in network.modules())
    in_sequences = [child for part in network.modules() if isinstance(part, torch.nn.Sequential) for child in part]
    assert not any(isinstance(child, torch.nn.LeakyReLU) for child in in_sequences)


def test_half_precision_begins_behind_the_thin_layers():
    network = InferenceNetwork(RetinaFace(MOBILENET_025).eval(), torch.bfloat16)
    kinds = {name: part.weight.dtype for name, part in network.named_modules() if isinstance(part, torch.nn.Conv2d)}
    exact = {name.rpartition(".")[0] for name, kind in kinds.items() if kind == torch.float32}
    thin = {"body.stage1.0", *(f"body.stage1.{step}" for step in range(1, 6)), "body.stage2.0"}
    assert {name for name in exact if name.startswith("body.")} == thin
    assert {name.partition(".")[0] for name in exact} == {"body", "fpn", "context", "heads"}
    assert kinds["heads.2"] == torch.float32
    assert kinds["heads.0"] == kinds["fpn.merge1.0"] == kinds["body.stage3.0.3"] == torch.bfloat16


def test_means_follow_the_channel_order():
    from dataclasses import replace

    torch.manual_seed(2)
    rgb = replace(MOBILENET_025, channel_order="RGB", means=(10.0, 20.0, 30.0))
    network = InferenceNetwork(RetinaFace(rgb).eval(), torch.float32)
    image = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    image[..., 0] = 200  # blue comes first in what we are given
    got = network._pictures(image)[0, :, 5, 7]
    torch.testing.assert_close(got, torch.tensor([-10.0, -20.0, 170.0]))


def test_only_rows_above_the_score_come_back(engine, picture):
    everything = engine.candidates([picture], 0.0)[0]
    assert len(everything.scores) == 2 * (40 * 40 + 20 * 20 + 10 * 10)
    assert sorted(everything.priors) == list(range(4200))
    some = engine.candidates([picture], 0.5)[0]
    assert 0 < len(some.scores) < 100
    assert some.scores.min() > 0.5
    assert set(some.priors) == set(everything.priors[everything.scores > 0.5])
    assert len(engine.candidates([picture], 1.0)[0].scores) == 0


def test_table_of_a_graphics_card_holds_the_same_rows(engine, picture):
    """The way of CUDA and MPS, on the CPU: filter by top-k on the device, an index beside each row."""
    with torch.inference_mode():
        frames = torch_engine._stacked([picture, picture[::-1]])
        results = engine._on_card(engine._network, [picture, picture[::-1]], 0.3)
        assert frames.shape == (2, 320, 320, 3)
    for got, expected in zip(results, engine.candidates([picture, picture[::-1]], 0.3), strict=True):
        order, other = np.argsort(got.priors), np.argsort(expected.priors)
        np.testing.assert_array_equal(got.priors[order], expected.priors[other])
        np.testing.assert_array_equal(got.scores[order], expected.scores[other])
        np.testing.assert_array_equal(got.boxes[order], expected.boxes[other])
        np.testing.assert_array_equal(got.landmarks[order], expected.landmarks[other])


def test_table_that_is_too_small_is_fetched_again(engine, picture, monkeypatch):
    monkeypatch.setattr(torch_engine, "_ROWS", 7)
    with torch.inference_mode():
        (got,) = engine._on_card(engine._network, [picture], 0.1)
    assert len(got.scores) == len(engine.candidates([picture], 0.1)[0].scores) > 7


def test_read_only_and_strided_pictures(engine, picture):
    frozen = picture.copy()
    frozen.flags.writeable = False
    wide = np.repeat(picture, 2, axis=1)[:, ::2]
    expected = engine.candidates([picture], 0.5)[0]
    for image in (frozen, wide):
        np.testing.assert_array_equal(engine.candidates([image], 0.5)[0].boxes, expected.boxes)


def test_closed(engine, picture):
    engine.close()
    engine.close()
    with pytest.raises(EngineFailed, match="closed"):
        engine.candidates([picture], 0.5)


def test_failure_of_torch_is_one_sentence(engine):
    with pytest.raises(EngineFailed) as caught:
        engine.candidates([np.zeros((0, 0, 3), np.uint8)], 0.5)
    assert "\n" not in str(caught.value)


def test_broken_numbers_are_no_faces(engine, picture):
    for head in engine._network.heads:
        head.bias.data.fill_(float("nan"))
    assert len(engine.candidates([picture], 0.5)[0].scores) == 0


def test_threads_are_those_asked_for(picture):
    before = torch.get_num_threads()
    one, two = (create(weights.find("mobilenet0.25"), threads=count) for count in (1, 2))
    try:
        for engine, count in ((one, 1), (two, 2), (one, 1)):
            engine.candidates([picture], 0.5)
            assert (engine.threads, torch.get_num_threads()) == (count, count)
    finally:
        torch.set_num_threads(before)


def test_half_is_never_float16_on_a_cpu(monkeypatch):
    model = weights.find("mobilenet0.25")
    for has, expected in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(torch_engine, "cpu_has_bfloat16", lambda has=has: has)
        assert create(model, device="cpu").precision == expected
        asked = create(model, device="cpu", precision="float16")
        assert asked.precision == expected
        assert "float16" in asked.notes[0]
        assert expected in asked.notes[0]


def test_devices_that_are_not_there():
    model = weights.find("mobilenet0.25")
    with pytest.raises(DeviceMissing, match="no device abacus"):
        create(model, device="abacus")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceMissing, match="cuda can't be used"):
            create(model, device="cuda")
    if not torch.backends.mps.is_available():
        with pytest.raises(DeviceMissing, match="mps can't be used"):
            create(model, device="mps")


@pytest.mark.parametrize(
    ("major", "minor", "built", "runs"),
    [
        (8, 6, ["sm_80", "sm_90"], True),
        (7, 5, ["sm_80", "sm_90"], False),
        (12, 0, ["sm_80", "sm_90"], False),  # a card newer than the build: “no kernel image”
        (12, 0, ["sm_90", "compute_90"], True),
        (9, 0, ["sm_90a"], True),
        (10, 3, ["sm_100"], True),
        (10, 0, ["sm_103"], False),
        (8, 9, [], False),
    ],
)
def test_which_cards_a_build_runs_on(major, minor, built, runs):
    assert torch_engine._has_kernels(major, minor, built) is runs


def test_weights_of_another_network_do_not_fit(tmp_path):
    from dataclasses import replace

    from rfapp.errors import WeightsAltered

    model = weights.find("mobilenet0.25")
    with pytest.raises(WeightsAltered, match="does not fit the network resnet50"):
        checkpoints.build(replace(model, config=RESNET50))


def test_torch_that_is_not_there_or_can_not_be_loaded(without, monkeypatch):
    monkeypatch.delitem(__import__("sys").modules, "rfapp.engines.torch_engine")
    without("torch")
    with pytest.raises(EngineMissing, match="torch"):
        create(weights.find("mobilenet0.25"))
