"""Published checkpoints that are known by their sha256, and what they do not say of themselves."""

from __future__ import annotations

from dataclasses import dataclass

from rfapp.models.config import MOBILENET_025, RESNET50, ModelConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """``name`` is the one that an import gives; ``slope`` the leaky ReLU's that the checkpoint was trained with."""

    name: str
    title: str
    origin: str
    licence: str
    config: ModelConfig
    slope: float


_BIUBUG6 = "MIT (biubug6/Pytorch_Retinaface, Copyright (c) 2019); trained on WIDER FACE (research data)"

PUBLISHED: dict[str, Published] = {
    "2979b33ffafda5d74b6948cd7a5b9a7a62f62b949cef24e95fd15d2883a65220": Published(
        name="mobilenet0.25-biubug6",
        title="RetinaFace MobileNet ×0.25 as published by biubug6",
        origin="mobilenet0.25_Final.pth of biubug6/Pytorch_Retinaface",
        licence=_BIUBUG6,
        config=MOBILENET_025,
        slope=0.1,
    ),
    "78b0533ceea681a290e98efca85e3a2815b22310f1fe7e287788e7f55f0743a9": Published(
        name="mobilenet0.25-biubug6-first",
        title="RetinaFace MobileNet ×0.25, the first weights of biubug6's repository",
        origin="weights/Final_Retinaface.pth of biubug6/Pytorch_Retinaface at commit 3c31dcd",
        licence=_BIUBUG6,
        config=MOBILENET_025,
        slope=0.0,  # trained with plain ReLU: with 0.1 it finds about three boxes a face
    ),
    "6d1de9c2944f2ccddca5f5e010ea5ae64a39845a86311af6fdf30841b0a5a16d": Published(
        name="resnet50-biubug6",
        title="RetinaFace ResNet-50 as published by biubug6",
        origin="Resnet50_Final.pth of biubug6/Pytorch_Retinaface, as released by xinntao/facexlib v0.1.0",
        licence=_BIUBUG6,
        config=RESNET50,
        slope=0.0,
    ),
}
