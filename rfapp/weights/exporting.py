"""A model for other programs: one ONNX file that takes plain pictures and gives boxes, scores and landmarks."""

from __future__ import annotations

import numpy as np

from rfapp.models.config import ModelConfig
from rfapp.models.prior_box import PriorBox
from rfapp.weights.manifest import Model, to_metadata
from rfapp.weights.network_graph import Builder, builder_for, fitting
from rfapp.weights.onnx_file import read_state
from rfapp.weights.onnx_writer import Axis


def export_onnx(model: Model, size: tuple[int, int] | None, *, decode: bool) -> bytes:
    """The ONNX file of *model* for others.

    Input ``pictures``: float32 (batch, 3, height, width), 0…255, planes in blue, green, red (red, green, blue for
    networks that want it so), sides multiples of 32; *size* fixes (height, width), None leaves them open. Outputs,
    N priors by level, row, column and size: ``scores`` float32 (batch, N), the probability of a face; ``boxes``
    (batch, N, 4) and, if the network has them, ``landmarks`` (batch, N, 10). These are deltas to the priors, or with
    *decode* (needs a *size*) x1, y1, x2, y2 and five times x, y in pixels. Raises WeightsError.
    """
    config = model.config
    with fitting(model):
        builder = builder_for(config, read_state(model))
        graph, anchors = builder.graph, config.anchors_per_cell
        axes: tuple[Axis, Axis] = ("height", "width") if size is None else size
        pictures = graph.input("pictures", np.float32, ("batch", 3, *axes))
        means = graph.constant("means", np.array(config.means, np.float32).reshape(1, -1, 1, 1))
        heads = builder.heads(graph.node("Sub", [pictures, means], "pictures.centred"))
    shape = graph.constant("cells.shape", np.array([0, -1, anchors * config.numbers_per_prior], np.int64))
    levels = []
    for head in heads:
        last = graph.node("Transpose", [head], f"{head}.last", perm=[0, 2, 3, 1])
        levels.append(graph.node("Reshape", [last, shape], f"{head}.cells"))
    table = graph.node("Concat", levels, "cells", axis=1)

    def part(name: str, first: int, width: int, output: str) -> str:
        bounds = [
            graph.constant(f"{name}.{key}", np.array([value], np.int64))
            for key, value in (("from", first), ("to", first + anchors * width), ("axis", 2))
        ]
        wanted = graph.constant(f"{name}.shape", np.array([0, -1, width] if width > 1 else [0, -1], np.int64))
        return graph.node("Reshape", [graph.node("Slice", [table, *bounds], f"{name}.part"), wanted], output)

    graph.node("Sigmoid", [part("scores", 0, 1, "scores.logits")], "scores")
    whole = decode and size is not None
    part("boxes", anchors, 4, "boxes.deltas" if whole else "boxes")
    if config.landmarks:
        part("landmarks", anchors * 5, 10, "landmarks.deltas" if whole else "landmarks")
    if decode and size is not None:
        _decode(builder, config, size)
    count: Axis = "priors" if size is None else len(PriorBox(config, size).array())
    graph.output("boxes", np.float32, ("batch", count, 4))
    graph.output("scores", np.float32, ("batch", count))
    if config.landmarks:
        graph.output("landmarks", np.float32, ("batch", count, 10))
    return graph.to_bytes(to_metadata(model))


def _decode(builder: Builder, config: ModelConfig, size: tuple[int, int]) -> None:
    """The formulas of :mod:`rfapp.postprocess.decode` for all priors, in pixels."""
    graph = builder.graph
    priors = PriorBox(config, size).array() * np.tile(np.array(size[::-1], np.float32), 2)
    centre, sides = priors[None, :, :2], priors[None, :, 2:]
    step = sides * np.float32(config.variance[0])

    def affine(value: str, factor: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
               offset: np.ndarray[tuple[int, ...], np.dtype[np.float32]], output: str) -> str:  # fmt: skip
        scaled = graph.node("Mul", [value, graph.constant(f"{output}.factor", factor)], f"{output}.scaled")
        return graph.node("Add", [scaled, graph.constant(f"{output}.offset", offset)], output)

    def columns(first: int, last: int, name: str) -> str:
        bounds = [
            graph.constant(f"{name}.{key}", np.array([value], np.int64))
            for key, value in (("from", first), ("to", last), ("axis", 2))
        ]
        return graph.node("Slice", ["boxes.deltas", *bounds], name)

    middle = affine(columns(0, 2, "boxes.shift"), step, centre, "boxes.centre")
    growth = graph.constant("boxes.growth", np.array([config.variance[1]], np.float32))
    ratio = graph.node("Exp", [graph.node("Mul", [columns(2, 4, "boxes.size"), growth], "boxes.log")], "boxes.ratio")
    half = graph.node("Mul", [ratio, graph.constant("boxes.sides", sides / 2)], "boxes.half")
    if config.inclusive:
        pixel = graph.constant("boxes.pixel", np.array([0.5], np.float32))
        half = graph.node("Sub", [half, pixel], "boxes.inner")
    corners = [graph.node("Sub", [middle, half], "boxes.first"), graph.node("Add", [middle, half], "boxes.last")]
    graph.node("Concat", corners, "boxes", axis=2)
    if config.landmarks:
        affine("landmarks.deltas", np.tile(step, 5), np.tile(centre, 5), "landmarks")
