"""Priors, worked out once for each picture size."""

from __future__ import annotations

from functools import lru_cache

from rfapp.frames import FloatArray
from rfapp.models.config import ModelConfig
from rfapp.models.prior_box import PriorBox


@lru_cache(maxsize=16)
def priors_for(height: int, width: int, config: ModelConfig) -> FloatArray:
    """float32 N×4 (centre x, centre y, width, height, as fractions of the picture), read-only.

    The last 16 sizes are remembered: a 1920×1088 picture has 85,680 priors, 1.4 MB.
    """
    priors = PriorBox(config, (height, width)).array()
    priors.flags.writeable = False
    return priors
