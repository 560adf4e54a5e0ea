"""Any of the networks, made from its configuration."""

from __future__ import annotations

from rfapp.models.ainnoface import AInnoFace
from rfapp.models.config import ModelConfig
from rfapp.models.retinaface import Phase, RetinaFace

Network = RetinaFace | AInnoFace


def make_network(cfg: ModelConfig, phase: Phase = "train") -> Network:
    """The network that *cfg* describes, with fresh weights."""
    return AInnoFace(cfg, phase) if cfg.family == "AInnoFace" else RetinaFace(cfg, phase)
