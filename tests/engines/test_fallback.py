"""What is tried when an engine has failed."""

from __future__ import annotations

from itertools import product

import pytest

from rfapp.engines.fallback import Runner, safer

BOTH = ("openvino", "torch")


@pytest.mark.parametrize("device", ["cuda:0", "mps"])
def test_a_lost_graphics_card_is_left_for_the_processor(device):
    assert safer(Runner("torch", device, "float16"), BOTH) == (
        Runner("openvino", "cpu", "auto"),
        Runner("openvino", "cpu", "float32"),
        Runner("torch", "cpu", "float32"),
    )
    assert safer(Runner("torch", device, "float16"), ("torch",)) == (
        Runner("torch", "cpu", "auto"),
        Runner("torch", "cpu", "float32"),
    )


@pytest.mark.parametrize("precision", ["bfloat16", "float16", "int8"])
def test_on_the_processor_a_rougher_precision_is_left_for_float32_of_the_same_engine_first(precision):
    for engine, other in (BOTH, BOTH[::-1]):
        assert safer(Runner(engine, "cpu", precision), BOTH) == (
            Runner(engine, "cpu", "float32"),
            Runner(other, "cpu", "float32"),
        )


def test_behind_float32_there_is_only_the_other_engine():
    assert safer(Runner("openvino", "cpu", "float32"), BOTH) == (Runner("torch", "cpu", "float32"),)
    assert safer(Runner("openvino", "cpu", "float32"), ("openvino",)) == ()
    assert safer(Runner("torch", "cuda:0", "float32"), ()) == ()


@pytest.mark.parametrize(
    ("engine", "device", "precision"),
    list(product(BOTH, ("cpu", "cuda:0", "mps"), ("float32", "bfloat16", "float16", "int8"))),
)
def test_what_failed_is_never_tried_again_and_a_graphics_card_never_at_all(engine, device, precision):
    failed = Runner(engine, device, precision)
    choices = safer(failed, BOTH)
    assert failed not in choices
    assert len(set(choices)) == len(choices)
    assert {choice.device for choice in choices} == {"cpu"}
