"""Windows chosen when sampling: the gates are those of the routing, times the window."""

from __future__ import annotations

import numpy as np
import pytest

from facecond.errors import UserError
from facecond.models.routing import Layer, Routing, flow_log_snr, narrowed, parse_rules, preset

TAUS = [0.0, 0.1, 0.29, 0.3, 0.5, 0.84, 0.86, 0.9, 0.999, 1.0]
LEVELS = np.array([flow_log_snr(tau) for tau in TAUS])


@pytest.mark.parametrize("name", ["all_all", "split_attr", "early_late", "mask_cut"])
@pytest.mark.parametrize("tau", [(0.3, 1.0), (0.0, 0.9), (0.1, 0.86)])
def test_gates_are_multiplied(sd15: tuple[Layer, ...], name: str, tau: tuple[float, float]) -> None:
    whole = preset(name, sd15)
    part = narrowed(whole, {"mask": tau}, flow_log_snr)
    inside = np.array([tau[0] <= t < tau[1] or t == tau[1] == 1 for t in TAUS])
    expected = whole.gates(LEVELS).copy()
    expected[:, :, whole.sources.index("mask")] *= inside[:, None]
    np.testing.assert_allclose(part.gates(LEVELS), expected, atol=1e-6)
    part.check_within(whole)  # it may be used wherever the routing may
    assert part.name == f"{name}, mask {tau[0]:g}:{tau[1]:g}"


def test_the_whole_stands_for_its_parts(sd15: tuple[Layer, ...]) -> None:
    part = narrowed(preset("split_attr", sd15), {"attributes": (0.0, 0.5)}, flow_log_snr)
    gates = part.gates(np.array([flow_log_snr(0.6)]))
    on = {s for s, weight in zip(part.sources, gates[0].sum(0), strict=True) if weight}
    assert on == {"mask"}


def test_an_open_window_changes_nothing(sd15: tuple[Layer, ...]) -> None:
    whole = preset("all_all", sd15)
    assert narrowed(whole, {"mask": (0.0, 1.0)}, flow_log_snr) == whole


def test_products_stay_products(sd15: tuple[Layer, ...]) -> None:
    rules = [
        {"source": "mask", "layers": "*", "tau": [0.5, 1], "op": "mul"},
        {"source": "mask", "layers": "*", "tau": [0, 0.8], "op": "mul"},
        {"source": "attributes", "layers": "*"},
    ]
    whole = Routing("product", sd15, parse_rules(rules, sd15, "here"))
    gates = narrowed(whole, {"mask": (0.6, 1.0)}, flow_log_snr).gates(LEVELS)
    mask = gates[:, 0, whole.sources.index("mask")]
    assert [tau for tau, gate in zip(TAUS, mask, strict=True) if gate] == []
    levels = np.array([flow_log_snr(0.7)])
    assert narrowed(whole, {"mask": (0.6, 1.0)}, flow_log_snr).gates(levels)[0, 0, 1] == 1


def test_bad_windows(sd15: tuple[Layer, ...]) -> None:
    whole = preset("mask_cut", sd15)
    for name, tau, message in (
        ("masks", (0.0, 0.5), "Did you mean 'mask'"),
        ("mask", (0.5, 0.5), "no window"),
        ("mask", (0.2, 1.5), "no window"),
        ("mask", (0.0, 0.5), "off at all noise levels"),  # it is on from 0.85
    ):
        with pytest.raises(UserError, match=message):
            narrowed(whole, {name: tau}, flow_log_snr)
