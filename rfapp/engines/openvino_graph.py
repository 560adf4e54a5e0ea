"""Makes an OpenVINO model out of a network's ONNX file: uint8 pictures in, one table of rows out."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from rfapp.models.config import ModelConfig

#: Part of the names of compiled models kept on disk: to be counted up with every change of what is built here.
GRAPH_VERSION = 3

#: Layers kept in float32 when the others run in half precision, by the beginning of their names: the coarse level with
#: its head, where a rounding is a step of pixels for faces of hundreds …
_PRECISE = ("fpn.output3", "ssh3", "head32")
#: … in AInnoFace the levels of strides 32, 64 and 128 …
_PRECISE_TWO_STEP = ("coarse",)
#: … and the first two stages of a MobileNet trunk, whose thin layers lose up to 14 px on a blurred face in bfloat16:
#: where a picture is smooth, all roundings of a channel go the same way and add up. Measured on the test pictures
#: against float32, with the time of the network at 640×480 on one core: nothing kept 13.9 px (4.9 ms), stage 1 alone
#: 1.8 px (5.9 ms), stage 1 and half of stage 2 1.2 px, both stages 0.6 px (6.2 ms). Leaving out any single layer of
#: stage 1 but one passes a pixel; what can be left out of stage 2 saves less than 0.1 ms.
_PRECISE_THIN = ("pictures", "body.stage1", "body.stage2", *_PRECISE)


def build(
    core: ov.Core, network: ov.Model, config: ModelConfig, size: tuple[int, int] | None, *, half: bool
) -> ov.Model:
    """*network* (read from a model's ONNX file, or its int8 form), with everything around it that can be done inside
    the graph; it is taken apart.

    Input: uint8 BGR (1, H, W, 3); *size* is (H, W), or None to leave both to each run. Outputs, cells running by
    level, row and column: float32 (1, cells, A) face logits, which lie side by side so that the score filter is one
    comparison, and float32 (1, cells, A·15, or A·5 without landmarks) rows as :func:`rfapp.engines.rows.rows_of` takes
    them. *half*: the model is going to be compiled for half precision; layers that would not bear it are marked.
    """
    (pictures,) = network.get_parameters()
    height, width = (-1, -1) if size is None else size
    images = ops.parameter(ov.PartialShape([1, height, width, 3]), ov.Type.u8, name="images")
    pictures.output(0).replace(_normalised(images, config, width).output(0))
    anchors = config.anchors_per_cell
    cells = []
    for result in network.get_results():
        rows = ops.transpose(result.input_value(0), np.array([0, 2, 3, 1]))
        cells.append(ops.reshape(rows, np.array([0, -1, anchors * config.numbers_per_prior]), special_zero=True))
    table = ops.concat(cells, axis=1)
    logits = ops.slice(table, np.array([0]), np.array([anchors]), np.array([1]), np.array([2]))
    model = ov.Model([ops.result(logits), ops.result(table)], [images], config.architecture)
    if not half:
        return model
    return _marked(core, model, _precise(config))


def _precise(config: ModelConfig) -> tuple[str, ...]:
    if config.family == "AInnoFace":
        return _PRECISE_TWO_STEP
    return _PRECISE_THIN if config.backbone.startswith("mobilenet") else _PRECISE


def read_network(core: ov.Core, content: bytes) -> ov.Model:
    """The network in the ONNX file *content*."""
    network: ov.Model = core.read_model(content, ov.Tensor(ov.Type.u8, ov.Shape([0])))
    return network


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
