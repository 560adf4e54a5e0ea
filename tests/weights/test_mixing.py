"""Weights between two models: their outputs at either end, whatever form batch norm has in them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from rfapp import weights  # noqa: E402
from rfapp.cli import main  # noqa: E402
from rfapp.detector import FaceDetector, try_out  # noqa: E402
from rfapp.errors import OutputExists, SettingsError, UsageError, WeightsError  # noqa: E402
from rfapp.looking import built_in_picture  # noqa: E402
from rfapp.models.config import ARCHITECTURES, ModelConfig  # noqa: E402
from rfapp.models.loading import load_model  # noqa: E402
from rfapp.models.networks import make_network  # noqa: E402
from rfapp.training.initial import unfold  # noqa: E402
from rfapp.weights import checkpoints, manifest  # noqa: E402
from rfapp.weights.manifest import MANIFEST, Model  # noqa: E402
from rfapp.weights.mixing import mix, mix_weights  # noqa: E402

ARCHITECTURES_TRIED = ["mobilenet0.25", "resnet18", "ainnoface-r18"]


def pictures():
    """Patches of brightness, so that layers get something like pictures."""
    torch.manual_seed(7)
    return torch.nn.functional.interpolate(torch.randn(2, 3, 8, 8) * 60, size=(128, 128))


@torch.no_grad()
def outputs(config: ModelConfig, state, given=None):
    network = load_model(make_network(config, "test"), state).eval()
    return [part for part in network(pictures() if given is None else given) if part is not None]


def off(ones, others) -> float:
    """The largest difference, as a part of what the largest number is, if that is above 1."""
    return max(
        float((one - other).abs().max()) / max(1.0, float(one.abs().max()))
        for one, other in zip(ones, others, strict=True)
    )


def saved(path: Path, config: ModelConfig, state) -> Model:
    model = Model(name=path.stem, path=path, config=config, origin=f"origin of {path.stem}")
    checkpoints.save(model, {name: tensor.detach().clone() for name, tensor in state.items()})
    return model


def by_chance(path: Path, architecture: str, seed: int) -> Model:
    """Weights by chance with batch norm that does something: statistics of its own, weights and biases by chance."""
    torch.manual_seed(seed)
    config = ARCHITECTURES[architecture]
    network = make_network(config, "test").eval()
    unfold(network, [pictures()])
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data *= torch.empty_like(module.weight).uniform_(0.7, 1.3)
            module.bias.data += torch.empty_like(module.bias).normal_(std=0.1)
    return saved(path, config, network.state_dict())


@pytest.mark.parametrize("architecture", ARCHITECTURES_TRIED)
def test_either_end_is_that_network(architecture, tmp_path):
    first = by_chance(tmp_path / "first.safetensors", architecture, 1)
    second = by_chance(tmp_path / "second.safetensors", architecture, 2)
    ends = [outputs(first.config, checkpoints.read(model.path)) for model in (first, second)]
    assert off(*ends) > 0.01
    for share, end in ((1e-7, ends[0]), (1 - 1e-7, ends[1])):
        assert off(end, outputs(first.config, mix(first, second, share))) < 1e-4
    middle = outputs(first.config, mix(first, second, 0.5))
    assert all(off(end, middle) > 1e-3 for end in ends)


@pytest.mark.parametrize("architecture", ARCHITECTURES_TRIED)
def test_a_network_with_its_own_unfolded_form_is_that_network(architecture, tmp_path):
    """Mixed as they stand, mean and variance of both would make a third network."""
    second = by_chance(tmp_path / "second.safetensors", architecture, 1)
    config = second.config
    # Folded as importing writes it: what mixing with itself leaves.
    first = saved(tmp_path / "first.safetensors", config, mix(second, second, 0.5))
    states = [checkpoints.read(model.path) for model in (first, second)]
    told = outputs(config, states[0])
    assert off(told, outputs(config, states[1])) < 1e-4
    for share in (0.3, 0.5):
        assert off(told, outputs(config, mix(first, second, share))) < 1e-4
    naive = {name: (tensor / 2 + states[1][name] / 2).to(tensor.dtype) for name, tensor in states[0].items()}
    assert off(told, outputs(config, naive)) > 1e-3


def test_the_default_weights_with_what_training_unfolds_of_them(tmp_path):
    first = weights.find("mobilenet0.25-imported")
    assert first.folded
    network = checkpoints.build(first, "train")
    unfold(network, [pictures()])
    second = saved(tmp_path / "unfolded.safetensors", first.config, network.state_dict())
    mixed = mix(first, second, 0.6)
    before = checkpoints.read(first.path)
    assert off(outputs(first.config, before), outputs(first.config, mixed)) < 1e-4
    # Folded in the very form that importing writes, so that all that reads folded networks reads this one.
    assert mixed.keys() == before.keys()
    for name, tensor in mixed.items():
        assert tensor.dtype == before[name].dtype
        if name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            assert torch.equal(tensor, before[name])
    assert all(torch.equal(tensor, before[name]) for name, tensor in mix(first, first, 0.5).items())


@pytest.mark.parametrize(
    "architecture", [name for name, config in ARCHITECTURES.items() if config.backbone != "resnet152"]
)
def test_every_batch_norm_of_every_network_is_folded(architecture, tmp_path):
    config = ARCHITECTURES[architecture]
    model = saved(tmp_path / "x.safetensors", config, make_network(config).state_dict())
    state = mix(model, model, 0.5)
    means = [name for name in state if name.endswith("running_mean")]
    assert means
    for name in means:
        assert not state[name].any()
        assert (state[name.replace("running_mean", "running_var")] == torch.tensor(1 - 1e-5)).all()
        assert (state[name.replace("running_mean", "weight")] == 1).all()


@pytest.mark.parametrize(
    ("architecture", "parts"),
    [("mobilenet0.25", ("fpn", "body.stage1", "ClassHead.0")), ("ainnoface-r18", ("head.box_tower",))],
)
def test_single_parts_are_mixed_and_all_others_are_those_of_the_first(architecture, parts, tmp_path):
    first = by_chance(tmp_path / "first.safetensors", architecture, 1)
    second = by_chance(tmp_path / "second.safetensors", architecture, 2)
    own, whole, some = (mix(first, *rest) for rest in ((first, 0.5), (second, 0.3), (second, 0.3, parts)))
    assert own.keys() == some.keys()
    told = dict.fromkeys(parts, 0)
    for name, tensor in some.items():
        named = [part for part in parts if name.startswith(f"{part}.")]
        assert torch.equal(tensor, (whole if named else own)[name]), name
        for part in named:
            told[part] += not torch.equal(tensor, own[name])
    assert all(told.values()), told
    # All of the second one in some parts is no longer the second one itself.
    taken, other = mix(first, second, 1, parts), mix(second, second, 0.5)
    assert all(torch.equal(taken[name], (other if name.startswith(parts) else own)[name]) for name in taken)


def test_a_part_that_is_not_there_is_one_sentence(tmp_path):
    model = weights.find("mobilenet0.25")
    with pytest.raises(UsageError, match=r"no part “neck”\. Its parts are: body, fpn, ssh1,"):
        mix(model, model, 0.5, ("fpn", "neck"))


def test_different_networks_are_one_sentence(tmp_path):
    first = by_chance(tmp_path / "first.safetensors", "mobilenet0.25", 1)
    other = by_chance(tmp_path / "other.safetensors", "mnet0.25", 1)
    with pytest.raises(UsageError, match=r"first and other .* differ in architecture \(mobilenet0\.25 / mnet0\.25\)\."):
        mix(first, other, 0.5)
    changes = {"slope": 0.0, "channel_order": "RGB", "min_sizes": ((8, 16), (32, 64), (128, 256))}
    changed = replace(first, config=replace(first.config, **changes))
    with pytest.raises(
        UsageError, match=r"min_sizes \(.*channel_order \(BGR / RGB\), slope \(0\.1 / 0\.0\)\."
    ) as caught:
        mix(first, changed, 0.5)
    assert "\n" not in str(caught.value)
    with pytest.raises(WeightsError, match="int8 form"):
        mix(first, weights.find("mobilenet0.25-int8"), 0.5)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_share_is_between_0_and_1(share):
    model = weights.find("mobilenet0.25")
    with pytest.raises(SettingsError, match="between 0 and 1"):
        mix(model, model, share)


def test_weights_that_find_nothing_are_said_loudly(tmp_path):
    first = weights.find("mobilenet0.25")
    zeros = {name: torch.zeros_like(tensor) for name, tensor in checkpoints.read(first.path).items()}
    second = saved(tmp_path / "zeros.safetensors", first.config, zeros)
    done = mix_weights(first, second, 0.9, name="nothing", try_out=try_out, folder=tmp_path / "own")
    assert "mixed weights find no face" in done.warning
    assert done.model.answer is None


def test_licences_are_joined_without_repeats(tmp_path):
    first = weights.find("mobilenet0.25")
    mit, research = "MIT (Copyright (c) 2024 A; Copyright (c) 2025 B)", "trained on WIDER FACE"
    cases = [
        (f"{mit}; {research}", f"own pictures; {research}", f"{mit}; {research}; own pictures"),
        ("", mit, mit),
        (mit, mit, mit),
    ]
    for one, other, joined in cases:
        pair = replace(first, licence=one), replace(first, licence=other)
        done = mix_weights(*pair, 0.5, name="x", try_out=try_out, folder=tmp_path / "own", force=True)
        assert done.model.licence == joined


# --------------------------------------------------------------------------------------------- on the command line


def test_command_mixes(capsys, tmp_path):
    default = weights.find("mobilenet0.25")
    network = checkpoints.build(default, "train")
    unfold(network, [pictures()])
    state = network.state_dict()
    for name in state:
        if name.startswith("ClassHead") and name.endswith("bias"):
            state[name] = state[name] + torch.tensor([0.0, 0.2] * 2)
    run = tmp_path / "run"
    run.mkdir()
    model = saved(run / "best.safetensors", default.config, state)
    manifest.write(run / MANIFEST, {"tuned": replace(model, name="tuned", licence="own pictures")})

    command = ["weights", "mix", "mobilenet0.25", str(run), "--share", "0.3", "--name", "between"]
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["name"], told["folded"], told["warning"]) == ("between", True, "")
    assert told["origin"] == f"0.7 × mobilenet0.25 ({default.origin}) + 0.3 × tuned (origin of best)"
    assert told["licence"] == f"{default.licence}; own pictures"
    mixed = weights.find("between")
    assert mixed.onnx_sha256
    score = [default.answer.score, mixed.answer.score, try_out(model).scores[0]]
    assert score[0] < score[1] < score[2]
    for engine in ("torch", "openvino"):
        pytest.importorskip(engine)
        with FaceDetector("between", engine, "cpu", "float32") as detector:
            assert detector(built_in_picture()).scores[0] == pytest.approx(mixed.answer.score, abs=1e-3)

    assert main([*command[:-1], "heads", "--only", "ClassHead", "--only", "fpn", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["origin"] == f"mobilenet0.25 ({default.origin}), in ClassHead, fpn 0.3 of tuned (origin of best)"

    assert main(command) == 1
    assert "between already" in capsys.readouterr().err
    with pytest.raises(OutputExists, match="comes with rfapp"):
        mix_weights(default, default, 0.5, name="mobilenet0.25", try_out=try_out)
    assert main([*command, "--force", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    # Replaced by a mix of itself, in a folder of its own.
    assert main(["weights", "mix", "between", "mobilenet0.25", "--share", "0.5", "--name", "a", "--folder",
                 str(tmp_path / "own")]) == 0  # fmt: skip
    assert "a: " in capsys.readouterr().out
    assert (tmp_path / "own" / "a.onnx").exists()


@pytest.mark.parametrize("share", ["0", "1", "2", "nan", "half"])
def test_command_refuses_what_is_no_share(share, capsys):
    words = ["weights", "mix", "mobilenet0.25", "mobilenet0.25-imported", "--share", share, "--name", "x"]
    if share == "half":
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2
    else:
        assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert "x" not in weights.known()
