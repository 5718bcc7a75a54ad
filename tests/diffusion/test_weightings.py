"""Loss weights against the formulas of their papers and codes, each on the target it is stated on.

P2, on epsilon: 1 / (k + SNR)^gamma. Choi et al. 2022, eq. 8; jychoi118/P2-weighting,
`training_losses`: 1 / (p2_k + snr)^p2_gamma with snr = 1 / (1 - alphas_cumprod) - 1. Giambi &
Lisanti 2023 take it over to latents.

Min-SNR, on epsilon: min(SNR, g) / SNR; on v: min(SNR, g) / (SNR + 1); on x_0: min(SNR, g). Hang et
al. 2023; TiankaiHang/Min-SNR-Diffusion-Training, `training_losses`.

Soft min-SNR, on the network inside EDM's preconditioning: (s d)^2 / (s^2 + d^2)^2, where d is the
data's standard deviation. Crowson et al. 2024; k-diffusion, `_weighting_soft_min_snr`.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from facecond.diffusion.objective import (
    PREDICTIONS,
    WEIGHTINGS,
    Objective,
    target_to_x0_weight,
    x0_weight,
)
from facecond.diffusion.paths import alpha_sigma

RATIOS = torch.logspace(-6, 6, 100, dtype=torch.float64)
LEVELS = torch.linspace(0.002, 0.998, 250, dtype=torch.float64)
PATHS = {
    "flow": ("v", "flow"),
    "linear": PREDICTIONS,
    "scaled_linear": PREDICTIONS,
    "cosine": PREDICTIONS,
}


def on_target(weighting: str, ratios: Tensor, prediction: str, gamma: float) -> Tensor:
    weight = x0_weight(weighting, ratios, prediction, 1.0, gamma)
    return weight / target_to_x0_weight(prediction, ratios)


def ddpm() -> tuple[np.ndarray, np.ndarray]:
    """DDPM's linear betas as the codes have them: alpha-bar and SNR of steps 0 .. 999."""
    alphas_cumprod = np.cumprod(1.0 - np.linspace(0.0001, 0.02, 1000, dtype=np.float64))
    return alphas_cumprod, 1.0 / (1 - alphas_cumprod) - 1


def assert_same_shape(objective: Objective, published: np.ndarray) -> None:
    """Through the objective, whose continuous time is within a per cent of the thousand steps."""
    t = torch.arange(1, 1001, dtype=torch.float64) / 1000
    first, second = objective.weight(t), torch.from_numpy(published)
    first, second = first / first.mean(), second / second.mean()
    assert (first - second).abs().max() < 0.01 * second.max()


@pytest.mark.parametrize("gamma", [0.5, 1.0])
def test_p2_is_that_of_choi(gamma: float) -> None:
    _, snr = ddpm()
    published = 1 / (1.0 + snr) ** gamma
    ours = on_target("p2", torch.from_numpy(snr), "epsilon", gamma)
    torch.testing.assert_close(ours, torch.from_numpy(published), rtol=1e-12, atol=0)
    objective = Objective("linear", "epsilon", "p2", k=1.0, gamma=gamma, density="uniform")
    assert_same_shape(objective, published)


def test_min_snr_is_that_of_hang() -> None:
    alphas_cumprod, _ = ddpm()
    snr = (np.sqrt(alphas_cumprod) / np.sqrt(1 - alphas_cumprod)) ** 2
    clamped = np.minimum(snr, 5.0)
    for prediction, published in (("epsilon", clamped / snr), ("v", clamped / (snr + 1))):
        ours = on_target("min_snr", torch.from_numpy(snr), prediction, 5.0)
        torch.testing.assert_close(ours, torch.from_numpy(published), rtol=1e-12, atol=0)
        objective = Objective("linear", prediction, "min_snr", gamma=5.0, density="uniform")
        assert_same_shape(objective, published)
    on_x_0 = x0_weight("min_snr", torch.from_numpy(snr), "epsilon", 1.0, 5.0)
    torch.testing.assert_close(on_x_0, torch.from_numpy(clamped), rtol=1e-12, atol=0)


@pytest.mark.parametrize("deviation", [0.5, 5**-0.5, 1.0])
def test_soft_min_snr_is_that_of_k_diffusion(deviation: float) -> None:
    """The clamp is 1 / d^2, so d = 0.5 is the paper's gamma 4 and the soft twin of 5 is 5^-1/2."""
    s = torch.logspace(-3, 3, 100, dtype=torch.float64)  # x = x_0 + s n
    d = torch.tensor(deviation, dtype=torch.float64)
    c_skip, c_out = d**2 / (s**2 + d**2), s * d / (s**2 + d**2).sqrt()
    x_0, noise = torch.randn(2, 100, generator=torch.Generator().manual_seed(0)).double()
    noised = x_0 + s * noise
    target = (x_0 - c_skip * noised) / c_out
    wrong = (x_0 + 0.3 - c_skip * noised) / c_out
    loss = (wrong - target).square() * (s * d) ** 2 / (s**2 + d**2) ** 2
    ours = x0_weight("soft_min_snr", s**-2, "epsilon", 1.0, deviation**-2) * 0.3**2
    torch.testing.assert_close(ours, loss, rtol=1e-6, atol=0)


def test_soft_min_snr_is_a_soft_clamp() -> None:
    soft = x0_weight("soft_min_snr", RATIOS, "epsilon", 1.0, 5.0)
    hard = x0_weight("min_snr", RATIOS, "epsilon", 1.0, 5.0)
    assert torch.allclose(1 / soft, 1 / RATIOS + 1 / 5)
    assert (soft < hard).all() and (soft >= hard / 2).all()


@pytest.mark.parametrize("k", [0.5, 1.0, 5.0])
def test_p2_with_gamma_1_is_soft_min_snr(k: float) -> None:
    p2 = x0_weight("p2", RATIOS, "epsilon", k, 1.0)
    soft = x0_weight("soft_min_snr", RATIOS, "epsilon", 1.0, k)
    assert torch.allclose(p2, soft / k)
    # Normalised, the two objectives are the same one, on epsilon and on any other target.
    for schedule, predictions in PATHS.items():
        for prediction in predictions:
            first = Objective(schedule, prediction, "p2", k=k, gamma=1.0)
            second = Objective(schedule, prediction, "soft_min_snr", gamma=k)
            assert torch.allclose(first.weight(LEVELS), second.weight(LEVELS), rtol=1e-6)


@pytest.mark.parametrize("of", PREDICTIONS)
def test_the_weight_of_a_target_is_uniform_on_it(of: str) -> None:
    closed = {"epsilon": RATIOS, "v": RATIOS + 1, "flow": 1 + 2 * RATIOS.sqrt() + RATIOS}[of]
    for prediction in PREDICTIONS:
        found = x0_weight(f"uniform_{of}", RATIOS, prediction, 1.0, 1.0)
        assert torch.allclose(found, closed)
    for schedule, predictions in PATHS.items():
        if of in predictions:
            own = Objective(schedule, of, f"uniform_{of}").weight(LEVELS)
            assert torch.equal(own, torch.ones_like(LEVELS))
    assert torch.allclose(RATIOS, x0_weight("p2", RATIOS, "v", 1.0, 0.0))  # uniform on epsilon


@pytest.mark.parametrize("schedule", PATHS)
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_weight_means_the_same_on_every_target(schedule: str, weighting: str) -> None:
    """Losses of one and the same wrong x_0 under different targets differ by a constant factor:
    what an ablation of targets at equal path, density and weight needs."""
    x_0, noise = torch.randn(
        2, len(LEVELS), 3, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    alpha, sigma = (c.view(-1, 1, 1, 1) for c in alpha_sigma(schedule, LEVELS))
    x_t, wrong_x_0 = alpha * x_0 + sigma * noise, x_0 + 0.1
    wrong_noise = (x_t - alpha * wrong_x_0) / sigma
    losses = {}
    for prediction in PATHS[schedule]:
        objective = Objective(schedule, prediction, weighting, k=2.0, gamma=1.5)
        predicted = objective.target(wrong_x_0, wrong_noise, LEVELS)
        losses[prediction] = objective.loss(predicted.float(), x_0, noise, LEVELS)
    first = losses["v"]
    for prediction, loss in losses.items():
        ratio = loss / first
        constant = torch.allclose(ratio, ratio[0].expand_as(ratio), rtol=1e-3)
        # Uniform on its own target is another weight for every target.
        assert constant == (weighting != "uniform" or prediction == "v")
