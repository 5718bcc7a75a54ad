"""Pixels from 0 to 255 become -1 to 1, in the order of the network."""

from __future__ import annotations

import numpy as np
import torch

from facecond.models.pixels import pictures_to_network, to_network


def test_the_range_is_one_to_each_side() -> None:
    values = to_network(torch.tensor([0, 255, 51], dtype=torch.uint8).view(3, 1, 1, 1)).flatten()
    assert values.tolist() == [-1.0, 1.0, torch.tensor(51 / 127.5 - 1).item()]
    assert values.dtype == torch.float32


def test_channels_come_first_and_views_are_taken() -> None:
    picture = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(1, 2, 4, 3)
    network = pictures_to_network(picture[:, :, ::-1])  # negative strides
    assert network.shape == (1, 3, 2, 4)
    assert network[0, 2, 1, 0] == picture[0, 1, 3, 2] / 127.5 - 1
