"""The network at step 0: first weights by chance, from a classifier's trunk, or from a whole network."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from rfapp.errors import UsageError, WeightsAltered, WeightsMissing
from rfapp.models.ainnoface import FACE_PROBABILITY, AInnoFace
from rfapp.models.config import ARCHITECTURES, ModelConfig
from rfapp.models.layers import Head
from rfapp.models.loading import load_model
from rfapp.models.networks import Network, make_network
from rfapp.models.retinaface import RetinaFace
from rfapp.text import mark
from rfapp.training.kin import adapted, are_kin
from rfapp.weights import checkpoints, known
from rfapp.weights.catalogue import config_for, find, sha256_of
from rfapp.weights.manifest import Model


@dataclass(frozen=True, slots=True, eq=False)
class Initial:
    """``folded``: batch norm does nothing in the weights and has to be started anew (:func:`unfold`). ``origin``: where
    they come from, in words."""

    network: Network
    folded: bool
    origin: str
    licence: str = ""


def initial_network(architecture: str, init: str, *, focal: bool = False) -> Initial:
    """*init*: the name of a model, a weights file, the folder of a run, a checkpoint of a trunk, or "".

    What is left to chance is drawn from torch's generator. AInnoFace with a trunk that was trained before keeps that
    trunk's stem and the statistics of its batch norm (:meth:`AInnoFace.freeze`); chance needs those of batches. Raises
    WeightsError, or UsageError where *init* is another network than *architecture* and no kin of it
    (:mod:`rfapp.training.kin`).
    """
    if not init:
        return Initial(_fresh(ARCHITECTURES[architecture], focal), False, mark("chance"))
    path = Path(init).expanduser()
    if init in known() or path.is_dir():
        return _whole(find(init), architecture)
    if not path.is_file():
        raise WeightsMissing(
            mark("There are no weights “{init}”."), mark("Name a model, a file or the folder of a run."), init=init
        )
    tensors = checkpoints.read(path)
    if config_for({name: tuple(tensor.shape) for name, tensor in tensors.items()}) is not None:
        return _whole(find(path), architecture)
    network = _fresh(ARCHITECTURES[architecture], focal)
    _load_trunk(network, tensors, path)
    return Initial(_frozen(network), False, mark("the trunk of {file}").format(file=path.name))


def _whole(model: Model, architecture: str) -> Initial:
    wanted = ARCHITECTURES[architecture]
    kin = model.config.architecture != architecture
    if kin and not are_kin(model.config, wanted):
        raise UsageError(
            mark("{init} is a {other}, not a {architecture}."),
            mark("Choose other weights or another --model."),
            init=model.path,
            other=model.config.architecture,
            architecture=architecture,
        )
    network = checkpoints.build(model, "train")
    folded = model.folded or never_measured(network)
    if kin:
        state = adapted(network.state_dict(), model.config, wanted)
        network = load_model(make_network(wanted, "train"), state)
    return Initial(_frozen(network), folded, f"{model.name} ({model.origin})", model.licence)


def never_measured(network: Network) -> bool:
    """Whether batch norm has the statistics of no picture at all, as in weights that were folded and lost what says so:
    to learn on from there without :func:`unfold` would be to begin with another network."""
    layers = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    return all(layer.running_mean is not None and not layer.running_mean.any() for layer in layers)


def _frozen(network: Network) -> Network:
    if isinstance(network, AInnoFace):
        network.freeze()
    return network


def _fresh(config: ModelConfig, focal: bool) -> Network:
    network = make_network(config, "train").train()
    if focal and isinstance(network, RetinaFace):  # AInnoFace begins so by itself
        for head in network.ClassHead:
            assert isinstance(head, Head)
            assert head.conv1x1.bias is not None
            odds = math.log(FACE_PROBABILITY / (1 - FACE_PROBABILITY))
            with torch.no_grad():
                head.conv1x1.bias.copy_(torch.tensor([0.0, odds]).repeat(head.num_anchors))
    return network


def _load_trunk(network: Network, tensors: dict[str, Tensor], path: Path) -> None:
    """The trunk's tensors out of a classifier's: its own head, and whatever else it has, is left behind."""
    own = network.body.state_dict()
    found = {name: tensor for name, tensor in tensors.items() if name in own}
    try:
        load_model(network.body, found or tensors)
    except ValueError as error:
        raise WeightsAltered(
            mark("{path} holds neither a {architecture} nor its trunk: {reason}."),
            mark("Choose other weights."),
            path=path,
            architecture=network.config.architecture,
            reason=error,
        ) from error


def fingerprint(init: str) -> str:
    """The sha256 of the file behind *init*, so that a run is not gone on with after it has changed; "" for chance."""
    if not init:
        return ""
    path = Path(init).expanduser()
    return sha256_of(path) if path.is_file() else sha256_of(find(init).path)


class _Statistics:
    """Mean and variance of each channel over all that goes into a batch norm."""

    def __init__(self, layer: nn.BatchNorm2d) -> None:
        self.layer = layer
        self._count = 0
        self._sum = torch.zeros(layer.num_features, dtype=torch.float64)
        self._squares = torch.zeros(layer.num_features, dtype=torch.float64)

    def __call__(self, _layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0].detach().double()
        self._count += values.numel() // values.shape[1]
        self._sum += values.sum(dim=(0, 2, 3)).cpu()
        self._squares += values.square().sum(dim=(0, 2, 3)).cpu()

    def apply(self) -> None:
        """Let the layer know them, and change weight and bias so that it computes what it did."""
        layer = self.layer
        assert layer.running_mean is not None
        assert layer.running_var is not None
        mean = self._sum / self._count
        variance = (self._squares / self._count - mean.square()).clamp(min=0)
        scale = layer.weight.double() / torch.sqrt(layer.running_var.double() + layer.eps)
        shift = layer.bias.double() - layer.running_mean.double() * scale
        layer.weight.copy_(scale * torch.sqrt(variance + layer.eps))
        layer.bias.copy_(shift + scale * mean)
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(variance)


@torch.no_grad()
def unfold(network: Network, pictures: Iterable[Tensor]) -> None:
    """Start batch norm anew in a network whose batch norm was folded into its convolutions.

    *pictures*: batches as the network takes them. What each layer gets is measured over all of them and becomes its
    mean and variance; weight and bias make up for it, so that the network computes the same as before, and training
    with the statistics of batches begins near it.
    """
    layers = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    statistics = [_Statistics(layer) for layer in layers]
    hooks = [layer.register_forward_pre_hook(each) for layer, each in zip(layers, statistics, strict=True)]
    training = network.training
    network.eval()
    try:
        for batch in pictures:
            network(batch)
    finally:
        for hook in hooks:
            hook.remove()
        network.train(training)
    for each in statistics:
        each.apply()
