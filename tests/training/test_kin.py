"""Weights of one kind of MobileNet begin the other kind."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rfapp.errors import UsageError  # noqa: E402
from rfapp.models.config import ARCHITECTURES, MNET_025, MNET_025_GRAY, MOBILENET_025, RESNET18  # noqa: E402
from rfapp.models.networks import make_network  # noqa: E402
from rfapp.models.prior_box import PriorBox  # noqa: E402
from rfapp.postprocess.decode import decode_boxes, decode_landmarks  # noqa: E402
from rfapp.training.initial import initial_network  # noqa: E402
from rfapp.training.kin import adapted, are_kin  # noqa: E402
from rfapp.training.matching import Targets  # noqa: E402
from rfapp.training.objectives import objective_for  # noqa: E402
from rfapp.training.recipes import recipe_for  # noqa: E402
from rfapp.training.trainer import prepared  # noqa: E402

#: What a conversion can say exactly: no slope, no means that the border of a picture would betray, edges as edges.
PLAIN = dataclasses.replace(MOBILENET_025, slope=0.0, means=(0.0, 0.0, 0.0))


def random_network(config, seed=0):
    torch.manual_seed(seed)
    network = make_network(config, "train").eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return network


def converted(network, source, target):
    other = make_network(target, "train").eval()
    other.load_state_dict(adapted(network.state_dict(), source, target))
    return other


@torch.no_grad()
def found(network, image):
    """Corners, landmarks and raw classes in a uint8 picture."""
    config = network.config
    boxes, classes, landmarks = network(prepared(torch.from_numpy(image)[None], config))
    priors = PriorBox(config, image.shape[:2]).array()
    return (
        decode_boxes(boxes[0].numpy(), priors, config.variance),
        decode_landmarks(landmarks[0].numpy(), priors, config.variance),
        classes[0].numpy(),
    )


@pytest.mark.parametrize("architecture", ["mnet0.25", "mnet0.25-gray"])
@pytest.mark.parametrize("back", [False, True])
def test_a_picture_without_colours_gives_the_same(architecture, back):
    target = dataclasses.replace(ARCHITECTURES[architecture], inclusive=False)
    source, target = (target, PLAIN) if back else (PLAIN, target)
    network = random_network(source)
    image = np.repeat(np.random.default_rng(1).integers(0, 256, (96, 128, 1), np.uint8), 3, axis=2)
    for got, wanted in zip(found(converted(network, source, target), image), found(network, image), strict=True):
        assert np.abs(got - wanted).max() < 2e-4 * max(1, np.abs(wanted).max())


def test_colours_in_another_order_give_the_same():
    target = dataclasses.replace(MNET_025, inclusive=False)
    network = random_network(PLAIN)
    image = np.random.default_rng(2).integers(0, 256, (64, 64, 3), np.uint8)
    for got, wanted in zip(found(converted(network, PLAIN, target), image), found(network, image), strict=True):
        assert np.abs(got - wanted).max() < 2e-4 * max(1, np.abs(wanted).max())


@torch.no_grad()
def test_means_move_behind_the_first_convolution():
    network = random_network(MOBILENET_025)
    gray = dataclasses.replace(MNET_025_GRAY, slope=MOBILENET_025.slope)
    other = converted(network, MOBILENET_025, gray)
    image = torch.randint(0, 256, (1, 32, 32, 1), dtype=torch.uint8).repeat(1, 1, 1, 3)
    first = [each.body["stage1"][0](prepared(image, each.config)) for each in (network, other)]
    inside = [layer[..., 1:, 1:] for layer in first]  # the border is black to one and grey to the other
    assert (inside[0] - inside[1]).abs().max() < 1e-3


def test_who_is_kin():
    assert are_kin(MOBILENET_025, MNET_025_GRAY)
    assert not are_kin(MOBILENET_025, ARCHITECTURES["mobilenet0.5"])
    assert not are_kin(RESNET18, RESNET18)


def test_the_default_weights_begin_a_network_for_luma():
    initial = initial_network("mnet0.25-gray", "mobilenet0.25")
    assert initial.network.config == MNET_025_GRAY
    assert initial.folded
    with pytest.raises(UsageError, match="mobilenet"):
        initial_network("resnet18", "mobilenet0.25")


def test_boxes_that_count_their_last_pixel_are_learned_as_they_are_decoded():
    size = 416
    recipe = recipe_for("quick", "mnet0.25")
    objective = objective_for(MNET_025, recipe, torch.device("cpu"))
    box = torch.tensor([[100.0, 120.0, 131.0, 163.0]])
    points = torch.tensor([[105.0, 130, 125, 131, 115, 140, 108, 150, 122, 151]])
    one = torch.zeros(1, dtype=torch.int64)
    targets = Targets(1, one, box / size, points / size, one == 0, one == 1)
    matches = objective.match(targets)
    assert len(matches)
    # What the decoder turns into this very box and these points.
    priors = torch.from_numpy(PriorBox(MNET_025, (size, size)).array()).double() * size
    chosen = priors[matches.prior]
    deltas, landmarks = torch.zeros(1, len(priors), 4), torch.zeros(1, len(priors), 10)
    centre, sides = (box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2] + 1
    deltas[0, matches.prior] = torch.cat(
        [(centre - chosen[:, :2]) / chosen[:, 2:], torch.log(sides / chosen[:, 2:])], dim=1
    ).float()
    apart = (points.reshape(1, 5, 2) - chosen[:, None, :2]) / chosen[:, None, 2:]
    landmarks[0, matches.prior] = apart.reshape(-1, 10).float()
    outputs = deltas, torch.zeros(1, len(priors), 2), landmarks
    _, told = objective(outputs, matches, targets, objective.counts(targets, matches))
    assert told[1] < 1e-6
    assert told[3] < 1e-6
    corners = decode_boxes(deltas[0, matches.prior].numpy(), (chosen / size).numpy().astype(np.float32), (1.0, 1.0))
    shrunk = corners * size + np.array([0.5, 0.5, -0.5, -0.5])
    assert np.abs(shrunk - box.numpy()).max() < 1e-3


def test_luma_is_fed_as_opencv_computes_it():
    import cv2

    image = np.random.default_rng(0).integers(0, 256, (8, 9, 3), np.uint8)
    luma = prepared(torch.from_numpy(image)[None], MNET_025_GRAY)
    assert luma.shape == (1, 1, 8, 9)
    assert np.abs(luma[0, 0].numpy() - cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)).max() <= 0.51
