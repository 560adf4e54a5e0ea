"""The networks. Importing this package does not import torch: each name is loaded when it is first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rfapp.models.config import ARCHITECTURES, MOBILENET_025, RESNET50, ModelConfig
from rfapp.models.prior_box import PriorBox

if TYPE_CHECKING:
    from rfapp.models.ainnoface import AInnoFace as AInnoFace
    from rfapp.models.layers import FPN as FPN
    from rfapp.models.layers import SSH as SSH
    from rfapp.models.layers import BboxHead as BboxHead
    from rfapp.models.layers import ClassHead as ClassHead
    from rfapp.models.layers import LandmarkHead as LandmarkHead
    from rfapp.models.layers import MobileNetV1 as MobileNetV1
    from rfapp.models.layers import conv_bn as conv_bn
    from rfapp.models.layers import conv_bn1X1 as conv_bn1X1
    from rfapp.models.layers import conv_bn_no_relu as conv_bn_no_relu
    from rfapp.models.layers import conv_dw as conv_dw
    from rfapp.models.layers import make_bbox_head as make_bbox_head
    from rfapp.models.layers import make_class_head as make_class_head
    from rfapp.models.layers import make_landmark_head as make_landmark_head
    from rfapp.models.loading import load_model as load_model
    from rfapp.models.networks import make_network as make_network
    from rfapp.models.resnet import ResNet as ResNet
    from rfapp.models.retinaface import RetinaFace as RetinaFace

_HOME = {
    "AInnoFace": "ainnoface",
    "BboxHead": "layers",
    "ClassHead": "layers",
    "FPN": "layers",
    "LandmarkHead": "layers",
    "MobileNetV1": "layers",
    "ResNet": "resnet",
    "RetinaFace": "retinaface",
    "SSH": "layers",
    "conv_bn": "layers",
    "conv_bn1X1": "layers",
    "conv_bn_no_relu": "layers",
    "conv_dw": "layers",
    "load_model": "loading",
    "make_bbox_head": "layers",
    "make_class_head": "layers",
    "make_landmark_head": "layers",
    "make_network": "networks",
}

__all__ = [
    "ARCHITECTURES",
    "FPN",
    "MOBILENET_025",
    "RESNET50",
    "SSH",
    "AInnoFace",
    "BboxHead",
    "ClassHead",
    "LandmarkHead",
    "MobileNetV1",
    "ModelConfig",
    "PriorBox",
    "ResNet",
    "RetinaFace",
    "conv_bn",
    "conv_bn1X1",
    "conv_bn_no_relu",
    "conv_dw",
    "load_model",
    "make_bbox_head",
    "make_class_head",
    "make_landmark_head",
    "make_network",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(f"rfapp.models.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'rfapp.models' has no attribute {name!r}")
