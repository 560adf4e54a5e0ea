"""First weights: a trunk, a whole network, chance; and folded batch norm that is started anew."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from rfapp import weights  # noqa: E402
from rfapp.errors import UsageError, WeightsAltered, WeightsMissing  # noqa: E402
from rfapp.models import MOBILENET_025, MobileNetV1, RetinaFace  # noqa: E402
from rfapp.training.initial import fingerprint, initial_network, unfold  # noqa: E402


def outputs(network, pictures):
    with torch.no_grad():
        return network.eval()(pictures)


@pytest.fixture
def classifier(tmp_path):
    """A trunk's checkpoint as training on ImageNet leaves it."""
    network = MobileNetV1(leaky=0.1)
    path = tmp_path / "imagenet.tar"
    state = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"epoch": 18, "arch": "resnet18", "state_dict": state, "best_acc1": 46.58}, path)
    return network, path


def test_a_trunk_is_taken_and_the_rest_left_to_chance(classifier):
    network, path = classifier
    initial = initial_network("mobilenet0.25", str(path))
    assert not initial.folded
    assert "imagenet.tar" in initial.origin
    for name, tensor in initial.network.body.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name])
    assert initial.network.training
    assert all(parameter.requires_grad for parameter in initial.network.parameters())


def test_the_published_trunk(test_data):
    initial = initial_network("mobilenet0.25", str(test_data / "checkpoints/mobilenetV1X0.25_pretrain.tar"))
    assert initial.network.body.state_dict()["stage1.0.0.weight"].abs().sum() > 0


def test_a_published_network_is_taken_whole(test_data):
    path = test_data / "checkpoints/mobilenet0.25_Final.pth"
    initial = initial_network("mobilenet0.25", str(path))
    state = torch.load(path, map_location="cpu", weights_only=True)
    assert all(torch.equal(tensor, state[name]) for name, tensor in initial.network.state_dict().items())
    assert not initial.folded
    assert "MIT" in initial.licence


def test_folded_weights_are_known_by_themselves(tmp_path):
    path = tmp_path / "mine.safetensors"
    save_file(load_file(weights.find("mobilenet0.25-imported").path), path)  # without what the file says of itself
    assert not weights.find(path).folded
    assert initial_network("mobilenet0.25", str(path)).folded
    assert initial_network("mnet0.25-gray", str(path)).folded


def test_chance_is_the_same_for_a_seed():
    torch.manual_seed(1)
    first = initial_network("mobilenet0.25", "").network.state_dict()
    torch.manual_seed(1)
    second = initial_network("mobilenet0.25", "").network.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_focal_loss_begins_with_all_background():
    network = initial_network("mobilenet0.25", "", focal=True).network
    _, classes, _ = outputs(network, torch.zeros(1, 3, 64, 64))
    faces = torch.softmax(classes, dim=2)[..., 1]
    assert 0.001 < faces.median() < 0.05


@pytest.mark.parametrize("name", ["mobilenet0.25", "weights.safetensors"])
def test_folded_weights_compute_the_same_after_batch_norm_is_started_anew(name, tmp_path):
    if name != "mobilenet0.25":
        from rfapp.weights import find

        (tmp_path / name).write_bytes(find("mobilenet0.25-imported").path.read_bytes())
        name = str(tmp_path / name)
    initial = initial_network("mobilenet0.25", name)
    if not initial.folded:
        pytest.skip("the default weights are not folded any more")
    network = initial.network
    torch.manual_seed(0)
    # Patches of brightness, so that layers get something like pictures.
    pictures = [torch.nn.functional.interpolate(torch.randn(4, 3, 8, 8) * 60, size=(160, 160)) for _ in range(3)]
    before = outputs(network, pictures[0])
    unfold(network, pictures)
    after = outputs(network, pictures[0])
    for one, other in zip(before, after, strict=True):
        assert torch.allclose(one, other, atol=1e-4 * max(1.0, float(one.abs().max())))
    layer = network.body["stage1"][1][1]
    assert layer.running_var.min() != pytest.approx(1 - 1e-5)
    # Now the statistics are those of pictures: the network in training mode says nearly the same.
    with torch.no_grad():
        trained = network.train()(pictures[0])
    assert (trained[1] - before[1]).abs().mean() < 0.2 * before[1].abs().mean()


def test_without_it_training_mode_would_be_another_network():
    # What the last line of the test above would see without the work: proof that it can fail.
    initial = initial_network("mobilenet0.25", "mobilenet0.25-imported")
    torch.manual_seed(0)
    pictures = torch.nn.functional.interpolate(torch.randn(4, 3, 8, 8) * 60, size=(160, 160))
    before = outputs(initial.network, pictures)
    with torch.no_grad():
        trained = initial.network.train()(pictures)
    assert (trained[1] - before[1]).abs().mean() > 0.2 * before[1].abs().mean()


def test_batch_norm_that_is_no_identity_is_kept_exactly_too():
    torch.manual_seed(3)
    network = RetinaFace(MOBILENET_025, "train").train()
    network(torch.randn(4, 3, 64, 64))  # statistics of its own
    pictures = torch.randn(2, 3, 64, 64)
    before = outputs(network, pictures)
    unfold(network, [torch.randn(4, 3, 64, 64) * 3])
    for one, other in zip(before, outputs(network, pictures), strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_what_is_no_trunk_is_a_sentence(tmp_path):
    torch.save({"something": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(WeightsAltered, match=r"neither a mobilenet0\.25 nor its trunk"):
        initial_network("mobilenet0.25", str(tmp_path / "other.pth"))
    with pytest.raises(WeightsMissing, match="nothing"):
        initial_network("mobilenet0.25", "nothing")
    with pytest.raises(UsageError, match="not a resnet50"):
        initial_network("resnet50", "mobilenet0.25")


def test_the_fingerprint_is_that_of_the_contents(tmp_path, classifier):
    _, path = classifier
    (tmp_path / "copy.tar").write_bytes(path.read_bytes())
    assert fingerprint(str(path)) == fingerprint(str(tmp_path / "copy.tar"))
    assert len(fingerprint("mobilenet0.25")) == 64
    assert fingerprint("") == ""
