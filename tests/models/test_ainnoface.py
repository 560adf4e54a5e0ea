"""AInnoFace: layout, numbers of parameters, and that each of its parts does something."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rfapp.models import ARCHITECTURES, ModelConfig, PriorBox  # noqa: E402
from rfapp.models.ainnoface import DROPPED, RFE, AInnoFace, Steps, least_logit, settle  # noqa: E402
from rfapp.models.config import AINNOFACE, AINNOFACE_R18, AINNOFACE_R50  # noqa: E402
from rfapp.models.networks import make_network  # noqa: E402
from rfapp.models.resnet import ResNet  # noqa: E402
from rfapp.training.boxes import corners_of, encode_landmarks, moved_priors  # noqa: E402


@pytest.fixture
def lively():
    """``lively(config)``: a small network in inference, whose heads say something else of each place."""

    def make(config, seed=0):
        torch.manual_seed(seed)
        network = make_network(config, "test").eval()
        for parameter in network.head.parameters():
            if parameter.ndim > 1:
                torch.nn.init.xavier_normal_(parameter, gain=1.5)
        return network

    return make


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def convolution(inp, out, *kernel):
    return inp * out * int(np.prod(kernel)) + out


def expected_parameters(depth, width):
    """Worked out from the description, layer by layer."""
    with torch.device("meta"):
        classifier = ResNet(depth)
    body = count(classifier) - count(classifier.fc)
    c2, c3, c4, c5 = (64, 128, 256, 512) if depth == 18 else (256, 512, 1024, 2048)
    raw = [c2, c3, c4, c5, c4, c2]
    coarse = convolution(c5, c4, 3, 3) + convolution(c4, c2, 3, 3)
    first = sum(convolution(level, width, 1) for level in raw)
    pyramid = sum(convolution(level, width, 1) for level in raw[:4]) + 6 * convolution(width, width, 3, 3)
    thin = width // 4
    rfe = convolution(width, width, 1) + sum(
        convolution(width, thin, 1) + convolution(thin, thin, length) + convolution(thin, thin, 1)
        for length in (5, 5, 3, 3)
    )
    tower = 2 * convolution(width, width, 3, 3) + rfe
    predictors = convolution(width, 2 * 6, 1) + convolution(width, 2 * 4, 1) + convolution(width, 2 * 10, 1)
    return body + coarse + first + pyramid + 2 * tower + predictors


@pytest.mark.parametrize(
    ("config", "depth", "width", "millions"), [(AINNOFACE, 152, 256, 88.0), (AINNOFACE_R50, 50, 256, 53.4),
                                               (AINNOFACE_R18, 18, 64, 13.0)], ids=str,
)  # fmt: skip
def test_numbers_of_parameters(config, depth, width, millions):
    with torch.device("meta"):
        network = make_network(config)
    assert isinstance(network, AInnoFace)
    assert count(network) == expected_parameters(depth, width)
    assert count(network) / 1e6 == pytest.approx(millions, abs=0.05)


def test_the_large_one_runs_forward_and_backward():
    network = make_network(AINNOFACE)
    steps = network(torch.randn(1, 3, 64, 64))
    priors = PriorBox(AINNOFACE, (64, 64)).array()
    assert steps.boxes.shape == (1, len(priors), 4)
    assert steps.first_scores.shape == (1, 2 * (16 * 16 + 8 * 8 + 4 * 4))
    assert steps.first_boxes.shape == (1, 2 * (4 + 1 + 1), 4)
    torch.autograd.backward(sum(part.square().mean() for part in steps))
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())


def test_priors_are_those_of_srn():
    """Counts and sides worked out by hand from Detectron's rules: whole sides of the first box, then scales."""
    priors = PriorBox(AINNOFACE, (1024, 1024)).array()
    assert len(priors) == 174_720
    sides = priors[:, 2:] * 1024
    for begin, (width, height) in (
        (0, (8, 10)), (131_072, (14, 18)), (163_840, (28, 36)), (172_032, (58, 72)), (174_080, (114, 142)),
        (174_592, (228, 284)),
    ):  # fmt: skip
        np.testing.assert_allclose(sides[begin], [width, height], rtol=1e-5)
        np.testing.assert_allclose(sides[begin + 1], np.array([width, height]) * 2**0.5, rtol=1e-5)
    np.testing.assert_allclose(priors[0, :2] * 1024, [2, 2])
    np.testing.assert_allclose(priors[-1, :2] * 1024, [960, 960])


@pytest.mark.parametrize("size", [(96, 160), (75, 50)], ids=str)
def test_rows_belong_to_priors_at_any_size(size, lively):
    with torch.inference_mode():
        boxes, classes, landmarks = lively(AINNOFACE_R18)(torch.randn(2, 3, *size))
    rows = len(PriorBox(AINNOFACE_R18, size).array())
    assert (boxes.shape, classes.shape, landmarks.shape) == ((2, rows, 4), (2, rows, 2), (2, rows, 10))
    torch.testing.assert_close(classes.sum(-1), torch.ones(2, rows))


def test_it_can_be_without_landmarks(lively):
    config = replace(AINNOFACE_R18, landmarks=False)
    with torch.inference_mode():
        assert lively(config)(torch.randn(1, 3, 64, 64))[2] is None
    assert ModelConfig.from_mapping(config.to_mapping()) == config


def test_configurations_survive_a_manifest():
    for config in ARCHITECTURES.values():
        assert ModelConfig.from_mapping(config.to_mapping()) == config
    changed = replace(AINNOFACE, stc_levels=0, str_levels=0, max_out=(1, 1), filter_threshold=0.9, stds=(1.0, 1.0, 1.0))
    assert ModelConfig.from_mapping(changed.to_mapping()) == changed


def test_training_begins_with_all_background():
    steps = make_network(AINNOFACE_R18)(torch.randn(1, 3, 64, 64))
    for scores in (steps.scores, steps.first_scores):
        assert 0.005 < scores.sigmoid().median() < 0.02


def test_max_out_takes_the_highest_of_three_on_both_sides():
    network = make_network(AINNOFACE_R18)
    head = network.head
    map_ = torch.zeros(1, 64, 1, 1)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
        # Channels: three faces, then three backgrounds, each for two priors.
        head.class_scores.bias.copy_(torch.tensor([1.0, 5, 3, -2, 2, 0, 7, 1, 4, 2, 6, 9]))
        assert head.scores(map_).tolist() == [[3.0 - 7.0, 5.0 - 9.0]]


def test_receptive_field_enhancement_looks_further_along_each_axis():
    torch.manual_seed(0)
    module = RFE(64)  # enough channels that some of each branch are not below 0
    picture = torch.zeros(1, 64, 9, 9, requires_grad=True)
    torch.autograd.backward(module(picture + 1)[0, :, 4, 4].sum())
    seen = picture.grad.abs().sum(dim=(0, 1)) > 0
    assert seen[4].nonzero().flatten().tolist() == [2, 3, 4, 5, 6]
    assert seen[:, 4].nonzero().flatten().tolist() == [2, 3, 4, 5, 6]
    assert int(seen.sum()) == 9  # a cross: no kernel is square


def test_both_steps_made_one_are_both_steps():
    """Decoding the settled deltas against the plain priors is decoding the second's against what the first made."""
    torch.manual_seed(0)
    config = replace(AINNOFACE_R18, stc_levels=3, str_levels=3)
    priors = torch.rand(20, 4) + 0.1
    steps = Steps(
        torch.randn(2, 20, 4) * 0.3, torch.randn(2, 20), torch.randn(2, 20, 10), torch.randn(2, 6, 4) * 0.3,
        torch.randn(2, 14) * 5,
    )  # fmt: skip
    boxes, logits, landmarks = settle(steps, config)
    told = corners_of(moved_priors(boxes, priors, config.variance))
    moved = moved_priors(steps.first_boxes, priors[14:], config.variance)
    for picture in range(2):
        anchors = torch.cat([priors[:14], moved[picture]])
        expected = corners_of(moved_priors(steps.boxes[picture], anchors, config.variance))
        torch.testing.assert_close(told[picture], expected, rtol=1e-5, atol=1e-5)
        points = anchors[:, None, :2] + steps.landmarks[picture].view(-1, 5, 2) * anchors[:, None, 2:]
        back = encode_landmarks(points.reshape(-1, 10), priors, config.variance)
        torch.testing.assert_close(landmarks[picture], back, rtol=1e-4, atol=1e-4)
    passed = steps.first_scores > least_logit(config)
    assert passed.any()
    assert not passed.all()
    assert (logits[:, :14][~passed] == DROPPED).all()
    assert torch.equal(logits[:, :14][passed], steps.scores[:, :14][passed])
    assert torch.equal(logits[:, 14:], steps.scores[:, 14:])


def test_the_filter_stands_at_one_in_a_hundred():
    assert torch.tensor(least_logit(AINNOFACE)).sigmoid() == pytest.approx(0.01)


@pytest.mark.parametrize("off", ["stc_levels", "str_levels"])
def test_each_step_can_be_switched_off_and_is_missed(off, lively):
    """The same numbers with and without: the scores or the boxes are others, on the levels where they should be."""
    whole = lively(AINNOFACE_R18)
    without = make_network(replace(AINNOFACE_R18, **{off: 0}), "test").eval()
    missing, surplus = without.load_state_dict(whole.state_dict(), strict=False)
    assert not missing
    assert all(name.startswith("first.") for name in surplus)
    picture = torch.randn(1, 3, 128, 128) * 60
    with torch.inference_mode():
        with_it, less = whole(picture), without(picture)
    fine = 2 * (32 * 32 + 16 * 16 + 8 * 8)
    boxes = (with_it[0] - less[0]).abs().amax(dim=2)[0] > 1e-3
    scores = (with_it[1] - less[1]).abs()[0, :, 1] > 1e-3
    if off == "stc_levels":
        assert scores[:fine].any()
        assert not scores[fine:].any()
        assert not boxes.any()
        assert (with_it[1][0, :fine, 1] < 1e-30).any()
        assert (less[1] > 1e-30).all()
    else:
        assert boxes[fine:].float().mean() > 0.5
        assert not boxes[:fine].any()
        assert not scores.any()


def test_a_body_that_was_trained_before_keeps_stem_and_statistics():
    network = make_network(AINNOFACE_R18)
    network.freeze()
    before = {name: buffer.clone() for name, buffer in network.body.named_buffers()}
    network.train()
    steps = network(torch.randn(2, 3, 64, 64))
    torch.autograd.backward(sum(part.square().mean() for part in steps))
    assert all(torch.equal(buffer, before[name]) for name, buffer in network.body.named_buffers())
    assert network.body["conv1"].weight.grad is None
    assert network.body["bn1"].weight.grad is None
    assert network.body["layer1"][0].conv1.weight.grad is not None


def test_pictures_are_divided_by_their_spread(lively):
    network = lively(AINNOFACE_R18)
    plain = make_network(replace(AINNOFACE_R18, stds=(1.0, 1.0, 1.0)), "test").eval()
    plain.load_state_dict(network.state_dict())
    picture = torch.randn(1, 3, 64, 64) * 60
    divided = picture / torch.tensor(AINNOFACE_R18.stds).view(3, 1, 1)
    with torch.inference_mode():
        torch.testing.assert_close(network(picture)[0], plain(divided)[0])
