"""Where the network's priors stand: the squares that its boxes and landmarks are told relative to.

The layout is that of biubug6/Pytorch_Retinaface (``layers/functions/prior_box.py``), worked out for whole feature
maps at once. numpy only, because the detector decodes without torch.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from rfapp.frames import FloatArray
from rfapp.models.config import ModelConfig

if TYPE_CHECKING:
    import torch


class PriorBox:
    """The priors of one picture size; *image_size* is (height, width) in pixels.

    A level of stride ``step`` has ceil(height / step) × ceil(width / step) cells, so sizes need not be multiples of
    the stride. Priors run by level, row, column and then size, smallest first.

    Where the configuration has ``prior_scales``, the priors of a level are its scales times one box of the area of a
    cell and the height over width ``aspect``, with sides rounded to whole pixels, as Detectron makes them
    (ChiCheng123/SRN). Its boxes count their last pixel; seen by their edges, they stand in the middle of the cell.
    """

    def __init__(self, cfg: ModelConfig, image_size: tuple[int, int]) -> None:
        height, width = image_size
        if height < 1 or width < 1:
            raise ValueError(f"a picture has at least one pixel, not {height}×{width}")
        self.config = cfg
        self.image_size = image_size
        self.feature_maps = [(ceil(height / step), ceil(width / step)) for step in cfg.steps]

    def array(self) -> FloatArray:
        """float32 N×4: centre x, centre y, width, height, all as fractions of the picture's width and height."""
        height, width = self.image_size
        levels = []
        for (rows, columns), step, sizes in zip(self.feature_maps, self.config.steps, self._sizes(), strict=True):
            offset = self.config.prior_offset or step / 2
            level = np.empty((rows, columns, len(sizes), 4), np.float64)
            level[..., 0] = ((np.arange(columns) * step + offset) / width)[None, :, None]
            level[..., 1] = ((np.arange(rows) * step + offset) / height)[:, None, None]
            level[..., 2] = sizes[:, 0] / width
            level[..., 3] = sizes[:, 1] / height
            levels.append(level.reshape(-1, 4))
        priors = np.concatenate(levels)
        if self.config.clip:
            priors = priors.clip(0.0, 1.0)
        return priors.astype(np.float32)

    def _sizes(self) -> list[npt.NDArray[np.float64]]:
        """For each level A×2: width and height of its priors in pixels."""
        config = self.config
        if not config.prior_scales:
            return [np.repeat(np.array(sizes, np.float64)[:, None], 2, axis=1) for sizes in config.min_sizes]
        levels: list[npt.NDArray[np.float64]] = []
        for step in config.steps:
            width = np.round(np.sqrt(step * step / config.aspect))
            levels.append(np.outer(config.prior_scales, [width, np.round(width * config.aspect)]))
        return levels

    def forward(self) -> torch.Tensor:
        """The same as a torch tensor on the CPU, as the published class gives it."""
        import torch

        return torch.from_numpy(self.array())
