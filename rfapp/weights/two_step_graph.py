"""Puts AInnoFace into an ONNX file: as :mod:`rfapp.weights.network_graph`, with both steps made one.

Outputs are ``head4`` … ``head128``, whose logits are those behind the filter of the first step and whose deltas are
relative to the plain priors (:func:`rfapp.models.ainnoface.settle`). The names of nodes begin with ``fine`` or with
``coarse`` (strides 32, 64 and 128). numpy only.
"""

from __future__ import annotations

import math

import numpy as np

from rfapp.weights.network_graph import Builder

#: Strides from which on nodes are called coarse.
_COARSE = 32
#: The logit of what the first step dropped, as in :data:`rfapp.models.ainnoface.DROPPED`.
_DROPPED = -80.0


class TwoStepBuilder(Builder):
    """Grows the graph of an AInnoFace. The numbers of its head are in the file once; all levels and steps use them."""

    def heads(self, x: str) -> list[str]:
        stem = "body.conv1.weight"
        stds = np.array(self.config.stds).reshape(1, -1, 1, 1)
        self.state = {**self.state, stem: (self.state[stem].astype(np.float64) / stds).astype(np.float32)}
        raw = self._resnet(x)
        second = self._two_step_pyramid(raw)
        c6 = self._part("c6", raw[3], "coarse.c6", stride=2)
        every = [*raw, c6, self._part("c7", c6, "coarse.c7", stride=2)]
        return [self._level(level, every[level], second[level]) for level in range(len(every))]

    def _name(self, level: int) -> str:
        step = self.config.steps[level]
        return f"{'fine' if step < _COARSE else 'coarse'}{step}"

    def _two_step_pyramid(self, raw: list[str]) -> list[str]:
        coarsest = self._part("pyramid.laterals.3", raw[3], f"{self._name(3)}.lateral")
        sums = [coarsest]
        for level in (2, 1, 0):
            name = self._name(level)
            lateral = self._part(f"pyramid.laterals.{level}", raw[level], f"{name}.lateral")
            how = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
            sums.insert(0, self._sum(name, lateral, sums[0], **how))
        levels = [
            self._part(f"pyramid.outputs.{level}", value, f"{self._name(level)}.second")
            for level, value in enumerate(sums)
        ]
        p6 = self._part("pyramid.p6", coarsest, f"{self._name(4)}.second", stride=2)
        return [*levels, p6, self._part("pyramid.p7", p6, f"{self._name(5)}.second", stride=2)]

    def _level(self, level: int, raw: str, second: str) -> str:
        """Both steps of a level: logits, boxes and landmarks in one map."""
        name, config, graph = self._name(level), self.config, self.graph
        logits = self._scores(second, f"{name}.scores")
        kinds = {"box_deltas": 4, **({"landmark_deltas": 10} if config.landmarks else {})}
        tower = self._tower("head.box_tower", second, f"{name}.boxes")
        deltas = [self._part(f"head.{kind}", tower, f"{name}.{kind}") for kind in kinds]
        early = level < config.stc_levels
        late = level >= len(config.steps) - config.str_levels
        if early or late:
            first = self._part(f"first.{level}", raw, f"{name}.first")
        if early:
            logits = self._filtered(name, self._scores(first, f"{name}.first.scores"), logits)
        if late:
            moved = self._part(
                "head.box_deltas", self._tower("head.box_tower", first, f"{name}.first.boxes"), f"{name}.first.deltas"
            )
            deltas = [
                self._composed(f"{name}.{kind}", moved, told, values)
                for (kind, values), told in zip(kinds.items(), deltas, strict=True)
            ]
        return graph.node("Concat", [logits, *deltas], f"head{config.steps[level]}", axis=1)

    def _filtered(self, name: str, first: str, logits: str) -> str:
        """*logits* where *first* is above the filter's threshold."""
        config, graph = self.config, self.graph
        least = math.log((1 - config.filter_threshold) / config.filter_threshold)
        passed = graph.node(
            "Greater", [first, graph.constant("least", np.array([least], np.float32))], f"{name}.passed"
        )
        dropped = graph.constant("dropped", np.array([_DROPPED], np.float32))
        return graph.node("Where", [passed, logits, dropped], f"{name}.filtered")

    def _composed(self, name: str, first: str, second: str, values: int) -> str:
        """Deltas to the plain priors: first + second · exp(growth), where *second* has x and y, and first + second
        where it has growths. 1×1 convolutions of zeros and ones bring each number of *first* to its places."""
        anchors, graph = self.config.anchors_per_cell, self.graph
        growing, added = np.zeros((2, anchors, values, anchors, 4))
        for anchor in range(anchors):
            for value in range(values):
                if values == 4 and value > 1:
                    added[anchor, value, anchor, value] = 1
                else:
                    growing[anchor, value, anchor, 2 + value % 2] = 1
                    added[anchor, value, anchor, value % 2] = 1
        none = np.zeros(anchors * values)
        maps = []
        for kind, matrix in (("growing", growing), ("added", added)):
            weight = matrix.reshape(anchors * values, anchors * 4, 1, 1)
            maps.append(self._convolution(f"{kind}{values}", first, weight, none, output=f"{name}.{kind}"))
        factor = graph.node("Exp", [maps[0]], f"{name}.factor")
        return graph.node("Add", [graph.node("Mul", [second, factor], f"{name}.scaled"), maps[1]], f"{name}.moved")

    def _scores(self, x: str, name: str) -> str:
        """The logits of a map: of its face scores the highest, less the highest of its background scores."""
        anchors, graph = self.config.anchors_per_cell, self.graph
        told = self._part("head.class_scores", self._tower("head.class_tower", x, name), f"{name}.every")
        parts = []
        for number in range(sum(self.config.max_out)):
            bounds = [
                graph.constant(f"score{number}.{key}", np.array([value], np.int64))
                for key, value in (("from", number * anchors), ("to", (number + 1) * anchors), ("axis", 1))
            ]
            parts.append(graph.node("Slice", [told, *bounds], f"{name}.{number}"))
        faces = self.config.max_out[0]
        face = graph.node("Max", parts[:faces], f"{name}.face")
        return graph.node("Sub", [face, graph.node("Max", parts[faces:], f"{name}.background")], f"{name}.logits")

    def _tower(self, part: str, x: str, name: str) -> str:
        x = self._part(f"{part}.conv1", x, f"{name}.conv1", relu=True)
        branches = []
        for branch in range(4):
            value = x
            for place in (0, 2, 4):
                value = self._part(
                    f"{part}.rfe.branches.{branch}.{place}", value, f"{name}.branch{branch}.{place}", relu=True
                )
            branches.append(value)
        joined = self.graph.node("Concat", branches, f"{name}.joined", axis=1)
        wide = self._part(f"{part}.rfe.join", joined, f"{name}.wide", relu=True)
        return self._part(f"{part}.conv2", self.graph.node("Add", [x, wide], f"{name}.rfe"), f"{name}.conv2", relu=True)

    def _part(self, part: str, x: str, name: str, *, stride: int = 1, relu: bool = False) -> str:
        """Convolution *part* of the network, with its bias, as node *name*."""
        weight = self.state[f"{part}.weight"].astype(np.float64)
        x = self._convolution(
            part, x, weight, self.state[f"{part}.bias"].astype(np.float64), stride=stride, output=name
        )
        return self.graph.node("Relu", [x], f"{name}.relu") if relu else x
