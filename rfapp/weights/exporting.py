"""A model for other programs: one ONNX file that takes plain pictures and gives boxes, scores and landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rfapp.models.config import ModelConfig
from rfapp.models.prior_box import PriorBox
from rfapp.weights.manifest import Model, to_metadata
from rfapp.weights.network_graph import builder_for, fitting
from rfapp.weights.onnx_file import read_state
from rfapp.weights.onnx_writer import Axis, Graph

#: So many faces a file that suppresses neighbours gives at most: more than a picture has.
MOST_FACES = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What an exported file takes and gives.

    Input ``pictures``: float32 (batch, 3, height, width), 0…255, planes in blue, green, red (red, green, blue for
    networks that want it so), sides multiples of 32; *size* fixes (height, width), None leaves them open. Outputs,
    N priors by level, row, column and size: ``boxes`` float32 (batch, N, 4), ``scores`` (batch, N), the probability of
    a face, and, if the network has them, ``landmarks`` (batch, N, 10). Boxes and landmarks are deltas to the priors,
    or with *decode* (needs a *size*) x1, y1, x2, y2 and five times x, y in pixels.

    With *overlap* (needs *decode*; batch is 1) only faces come out, best first: ``boxes`` (faces, 4), ``scores``
    (faces) and ``landmarks`` (faces, 10) of the priors above *score*, without those whose intersection over union
    with a better one is above *overlap*.
    """

    size: tuple[int, int] | None
    decode: bool = False
    overlap: float | None = None
    score: float = 0.6

    def count(self, config: ModelConfig) -> int:
        """N, for a fixed size."""
        assert self.size is not None
        return len(PriorBox(config, self.size).array())


def export_onnx(model: Model, form: Form) -> bytes:
    """The ONNX file of *model* for others. Raises WeightsError."""
    config, size = model.config, form.size
    batch: Axis = "batch" if form.overlap is None else 1
    with fitting(model):
        builder = builder_for(config, read_state(model))
        graph, anchors = builder.graph, config.anchors_per_cell
        axes: tuple[Axis, Axis] = ("height", "width") if size is None else size
        pictures = graph.input("pictures", np.float32, (batch, 3, *axes))
        means = graph.constant("means", np.array(config.means, np.float32).reshape(1, -1, 1, 1))
        heads = builder.heads(graph.node("Sub", [pictures, means], "pictures.centred"))
    shape = graph.constant("cells.shape", np.array([0, -1, anchors * config.numbers_per_prior], np.int64))
    levels = []
    for head in heads:
        last = graph.node("Transpose", [head], f"{head}.last", perm=[0, 2, 3, 1])
        levels.append(graph.node("Reshape", [last, shape], f"{head}.cells"))
    table = graph.node("Concat", levels, "cells", axis=1)

    def part(name: str, first: int, width: int, output: str) -> str:
        wanted = graph.constant(f"{name}.shape", np.array([0, -1, width] if width > 1 else [0, -1], np.int64))
        columns = _columns(graph, table, first, first + anchors * width, f"{name}.part")
        return graph.node("Reshape", [columns, wanted], output)

    # What is given under its own name, and what is worked on further.
    every = "" if form.overlap is None else ".all"
    raw = ".deltas" if form.decode else every
    graph.node("Sigmoid", [part("scores", 0, 1, "scores.logits")], f"scores{every}")
    part("boxes", anchors, 4, f"boxes{raw}")
    if config.landmarks:
        part("landmarks", anchors * 5, 10, f"landmarks{raw}")
    if form.decode and size is not None:
        _decode(graph, config, size, every)
    if form.overlap is not None:
        _suppress(graph, config, form.overlap, form.score)
    shape_of: tuple[Axis, ...] = ("faces",) if every else ("batch", "priors" if size is None else form.count(config))
    graph.output("boxes", np.float32, (*shape_of, 4))
    graph.output("scores", np.float32, shape_of)
    if config.landmarks:
        graph.output("landmarks", np.float32, (*shape_of, 10))
    return graph.to_bytes(to_metadata(model))


def _columns(graph: Graph, value: str, first: int, last: int, output: str) -> str:
    """The columns from *first* to before *last* of the third axis."""
    bounds = [
        graph.constant(f"{output}.{key}", np.array([number], np.int64))
        for key, number in (("from", first), ("to", last), ("axis", 2))
    ]
    return graph.node("Slice", [value, *bounds], output)


def _decode(graph: Graph, config: ModelConfig, size: tuple[int, int], every: str) -> None:
    """The formulas of :mod:`rfapp.postprocess.decode` for all priors, in pixels."""
    priors = PriorBox(config, size).array() * np.tile(np.array(size[::-1], np.float32), 2)
    centre, sides = priors[None, :, :2], priors[None, :, 2:]
    step = sides * np.float32(config.variance[0])

    def affine(value: str, factor: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
               offset: np.ndarray[tuple[int, ...], np.dtype[np.float32]], output: str) -> str:  # fmt: skip
        scaled = graph.node("Mul", [value, graph.constant(f"{output}.factor", factor)], f"{output}.scaled")
        return graph.node("Add", [scaled, graph.constant(f"{output}.offset", offset)], output)

    middle = affine(_columns(graph, "boxes.deltas", 0, 2, "boxes.shift"), step, centre, "boxes.centre")
    growth = graph.constant("boxes.growth", np.array([config.variance[1]], np.float32))
    change = graph.node("Mul", [_columns(graph, "boxes.deltas", 2, 4, "boxes.size"), growth], "boxes.log")
    ratio = graph.node("Exp", [change], "boxes.ratio")
    half = graph.node("Mul", [ratio, graph.constant("boxes.sides", sides / 2)], "boxes.half")
    if config.inclusive:
        pixel = graph.constant("boxes.pixel", np.array([0.5], np.float32))
        half = graph.node("Sub", [half, pixel], "boxes.inner")
    corners = [graph.node("Sub", [middle, half], "boxes.first"), graph.node("Add", [middle, half], "boxes.last")]
    graph.node("Concat", corners, f"boxes{every}", axis=2)
    if config.landmarks:
        affine("landmarks.deltas", np.tile(step, 5), np.tile(centre, 5), f"landmarks{every}")


def _suppress(graph: Graph, config: ModelConfig, overlap: float, score: float) -> None:
    """Non-maximum suppression of the only picture's boxes, and the rows of what stays, best first."""

    def constant(name: str, value: float | list[int]) -> str:
        dtype = np.float32 if isinstance(value, float) else np.int64
        return graph.constant(f"faces.{name}", np.array([value] if isinstance(value, float) else value, dtype))

    by_class = graph.node("Reshape", ["scores.all", constant("classes", [1, 1, -1])], "scores.classes")
    limits = [constant("most", [MOST_FACES]), constant("overlap", overlap), constant("score", score)]
    chosen = graph.node("NonMaxSuppression", ["boxes.all", by_class, *limits], "faces.chosen")
    # Rows of (picture, class, prior), in an order that the standard leaves open.
    prior = graph.node("Gather", [chosen, constant("third", [2])], "faces.column", axis=1)
    prior = graph.node("Reshape", [prior, constant("flat", [-1])], "faces.priors")
    rows = graph.node("Reshape", ["scores.all", constant("row", [-1])], "scores.rows")
    found = graph.node("Gather", [rows, prior], "scores.found", axis=0)
    graph.node("TopK", [found, graph.node("Shape", [found], "faces.count")], ["scores", "faces.order"], axis=0)
    best = graph.node("Gather", [prior, "faces.order"], "faces.best", axis=0)
    for name, width in (("boxes", 4), ("landmarks", 10)) if config.landmarks else (("boxes", 4),):
        table = graph.node("Reshape", [f"{name}.all", constant(f"{name}.shape", [-1, width])], f"{name}.rows")
        graph.node("Gather", [table, best], name, axis=0)
