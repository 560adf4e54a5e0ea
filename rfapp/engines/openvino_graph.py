"""Makes an OpenVINO model out of a network's ONNX file: uint8 pictures in, one table of rows out."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from rfapp.engines.bfloat16_weights import EXACT_IN_TRUNK, shape_weights
from rfapp.engines.rows import columns_of
from rfapp.models.config import ModelConfig

#: The precisions of half the size.
HALF = ("bfloat16", "float16")
#: Part of the names of compiled models kept on disk: to be counted up with every change of what is built here.
GRAPH_VERSION = 5

#: Layers kept in float32 when the others run in half precision, by the beginning of their names: the coarse level with
#: its head, where a rounding is a step of pixels for faces of hundreds …
_PRECISE = ("fpn.output3", "ssh3", "head32")
#: … in AInnoFace the levels of strides 32, 64 and 128 …
_PRECISE_TWO_STEP = ("coarse",)
#: … and the beginning of a MobileNet trunk. What of it is left to bfloat16 gets weights that bear it
#: (:mod:`rfapp.engines.bfloat16_weights`). Measured on the test pictures
#: against float32, with the time of the network at 640×480 on one core, in parts of that of all in bfloat16: nothing
#: kept 13.9 px (1.00); two steps of the first stage 2.0 px (1.13), four 1.3 px (1.17), five 0.87 px, but in a crowd
#: another box wins (1.20), the first stage and a step of the second 0.66 px and 0.011 in score (1.24), two of the
#: second 0.45 px (1.26). Two whole stages with weights rounded one by one: 0.57 px (1.33). The pictures stay in float32
#: as well, which the first layer wants: less means that are whole numbers they would be exact in bfloat16, but going
#: there and back takes 1 % of the whole.
_PRECISE_THIN = ("pictures", *EXACT_IN_TRUNK, *_PRECISE)

#: The large results of a MobileNet's first layers, by name …
_LARGE = re.compile(r"pictures\.centred|body\.stage1\..*\.relu")
#: … and the largest picture, in pixels, for which they may lie apart: at 640×640 they take 33 MB.
_APART_PIXELS = 640 * 640


def read_network(core: ov.Core, content: bytes, config: ModelConfig, precision: str) -> ov.Model:
    """The network in the ONNX file *content*, with weights for *precision*."""
    network: ov.Model = core.read_model(content, ov.Tensor(ov.Type.u8, ov.Shape([0])))
    if precision == "bfloat16" and config.backbone.startswith("mobilenet"):
        _shape(network, config, _precise(config))
    return network


def can_lie_apart(config: ModelConfig, size: tuple[int, int]) -> bool:
    """Whether :func:`build` has a second form for pictures of *size*: one in which results lie apart."""
    return config.backbone == "mobilenet0.25" and size[0] * size[1] <= _APART_PIXELS


def build(
    core: ov.Core,
    network: ov.Model,
    config: ModelConfig,
    size: tuple[int, int] | None,
    *,
    precision: str,
    apart: bool = False,
) -> ov.Model:
    """*network* (read from a model's ONNX file, or its int8 form), with everything around it that can be done inside
    the graph; it is taken apart.

    Input: uint8 BGR (1, H, W, 3); *size* is (H, W), or None to leave both to each run. Output: a row for each prior,
    these running by level, row, column and anchor: float32 N×15 (N×5 without landmarks), logit, 4 box deltas, 10
    landmark deltas. *precision*: of the half ones, the layers that would not bear it are marked to be run in float32.

    *apart* gives each of the large results of the first layers memory of its own (see :func:`_hold`).
    """
    (pictures,) = network.get_parameters()
    height, width = (-1, -1) if size is None else size
    images = ops.parameter(ov.PartialShape([1, height, width, 3]), ov.Type.u8, name="images")
    pictures.output(0).replace(_normalised(images, config, width).output(0))
    levels = []
    for result in network.get_results():
        cells = ops.transpose(_by_anchor(result.input_value(0), config), np.array([0, 2, 3, 1]))
        levels.append(ops.reshape(cells, np.array([-1, config.numbers_per_prior]), special_zero=False))
    model = ov.Model([ops.result(ops.concat(levels, axis=0))], [images], config.architecture)
    if apart:
        _hold(model)
    return _marked(core, model, _precise(config)) if precision in HALF else model


def _shape(network: ov.Model, config: ModelConfig, precise: tuple[str, ...]) -> None:
    """Put weights that bear bfloat16 into *network*."""
    constants = {
        node.get_friendly_name(): node
        for node in network.get_ops()
        if node.get_type_name() == "Constant" and str(node.get_friendly_name()).endswith((".weight", ".bias"))
    }
    numbers = {name: node.data for name, node in constants.items()}
    for name, value in shape_weights(numbers, config, lambda layer: f"{layer}.".startswith(precise)).items():
        changed = ops.constant(value)
        for user in list(constants[name].output(0).get_target_inputs()):
            user.replace_source_output(changed.output(0))


def _precise(config: ModelConfig) -> tuple[str, ...]:
    if config.family == "AInnoFace":
        return _PRECISE_TWO_STEP
    return _PRECISE_THIN if config.backbone.startswith("mobilenet") else _PRECISE


def _by_anchor(head: ov.Output, config: ModelConfig) -> ov.Output:
    """What *head* tells, its channels running by anchor, in place of all logits first, then all box deltas, then all
    landmark deltas: what belongs to a prior then lies in one row."""
    order = columns_of(config.anchors_per_cell, config.numbers_per_prior).reshape(-1)
    if np.array_equal(order, np.arange(len(order))):
        return head
    if config.family == "AInnoFace":  # put together from several; sorting is little beside such a network
        return ops.gather(head, order, np.array(1)).output(0)
    biased = head.get_node()
    convolution = biased.input_value(0).get_node()
    for node, axis in ((convolution, 0), (biased, 1)):
        numbers = ops.gather(node.input_value(1), order, np.array(axis))
        node.input(1).replace_source_output(numbers.output(0))
    return head


def _hold(model: ov.Model) -> None:
    """Give *model* a last output that needs a number of each large result of a MobileNet's first stage.

    OpenVINO puts the result of a layer where earlier ones lay that nobody needs any more. Threads share a layer by
    halves, and where results of two sizes take turns, much of one thread's half lies in what was the other's. If their
    cores do not share a cache, each line of it has to be fetched from the other core only to be overwritten. Results
    that are needed to the end keep their places. What that takes and gives, for two threads at 640×480: 6.2 → 7.0 ms
    where the cores share a cache, 10.3 → 7.9 ms where they do not.
    """
    numbers = []
    for node in model.get_ordered_ops():
        if _LARGE.fullmatch(node.get_friendly_name()):
            rank = node.output(0).get_partial_shape().rank.get_length()
            corner = ops.slice(node, np.zeros(rank, int), np.ones(rank, int), np.ones(rank, int), np.arange(rank))
            numbers.append(ops.reshape(corner, np.array([1]), special_zero=False))
    model.add_results([ops.result(ops.concat(numbers, axis=0))])


def _normalised(images: ov.Node, config: ModelConfig, width: int) -> ov.Node:
    """Means off, colours in the network's order, channels first."""
    if config.channel_order == "RGB":
        images = ops.gather(images, np.array([2, 1, 0]), np.array(3))
    means = np.array(config.means, np.float32)
    if width < 0:
        planes = ops.convert(ops.transpose(images, np.array([0, 3, 1, 2])), ov.Type.f32, name="pictures.planes")
        return ops.subtract(planes, means.reshape(1, 3, 1, 1), name="pictures.centred")
    # The means of a whole row are subtracted from whole rows: over the innermost three numbers alone it would take
    # four times as long, a tenth of the network.
    rows = ops.convert(ops.reshape(images, np.array([0, 0, -1]), special_zero=True), ov.Type.f32, name="pictures.rows")
    rows = ops.subtract(rows, np.tile(means, width).reshape(1, 1, -1), name="pictures.centred")
    numbers = ops.reshape(rows, np.array([0, 0, -1, 3]), special_zero=True, name="pictures.pixels")
    return ops.transpose(numbers, np.array([0, 3, 1, 2]), name="pictures.planes")


def _marked(core: ov.Core, model: ov.Model, names: tuple[str, ...]) -> ov.Model:
    """*model* with the layers whose names begin with one of *names* to be run in float32 in any case.

    OpenVINO's mark for this ("precise", read since 2023.3) can't be set from Python but stands in its file format; so
    the model goes once through a file.
    """
    with tempfile.TemporaryDirectory(prefix="rfapp-openvino-") as folder:
        xml, numbers = Path(folder) / "network.xml", Path(folder) / "network.bin"
        ov.serialize(model, xml, numbers)
        tree = ElementTree.fromstring(xml.read_bytes())
        weights = np.fromfile(numbers, np.uint8)
    for layer in tree.iter("layer"):
        if layer.get("type") != "Const" and str(layer.get("name")).startswith(names):
            info = layer.find("rt_info")
            if info is None:
                info = ElementTree.SubElement(layer, "rt_info")
            ElementTree.SubElement(info, "attribute", name="precise", version="0")
    marked: Any = core.read_model(ElementTree.tostring(tree), ov.Tensor(weights))
    return marked
