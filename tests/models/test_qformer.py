"""The Q-Former: instructions, trunks, and that evidence reaches the tokens."""

from __future__ import annotations

import pytest
import torch

from facecond.errors import UserError
from facecond.labels import APPEARANCE, ATTRIBUTES
from facecond.models.qformer import (
    INSTRUCTIONS,
    QFormer,
    instruction_index,
    place_codes,
    source_of,
)


def qformer(trunks: int = 1) -> QFormer:
    torch.manual_seed(0)
    return QFormer((9, 5), dim=16, out_dim=12, queries=4, depth=2, heads=2, trunks=trunks)


def rows(*names: str) -> torch.Tensor:
    return torch.tensor([instruction_index(name) for name in names])


EVIDENCE = torch.randn(1, 9, 5, generator=torch.Generator().manual_seed(1)).expand(3, -1, -1)


def test_instructions_change_the_tokens_and_nothing_else_does() -> None:
    model = qformer()
    tokens = model(EVIDENCE, rows("appearance", "geometry", "appearance"), "reference:appearance")
    assert tokens.shape == (3, 4, 12)
    torch.testing.assert_close(tokens[0], tokens[2])
    assert (tokens[0] - tokens[1]).abs().max() > 0.05
    torch.testing.assert_close(tokens.mean(-1), torch.zeros(3, 4), atol=1e-5, rtol=0)


def test_every_evidence_token_and_its_place_reach_the_output() -> None:
    model, asked = qformer(), rows("appearance")
    evidence = EVIDENCE[:1].clone().requires_grad_()
    model(evidence, asked, "reference:appearance").square().sum().backward()
    # Tokens are normalised, so their squares are constant: look at one channel instead.
    evidence.grad = None
    model(evidence, asked, "reference:appearance")[..., 0].sum().backward()
    assert (evidence.grad.abs().sum(-1) > 0).all()
    turned = EVIDENCE[:1].flip(1)
    tokens = [model(e, asked, "reference:appearance") for e in (EVIDENCE[:1], turned)]
    assert not torch.allclose(*tokens, atol=1e-4)


def test_only_what_is_asked_for_learns_queries() -> None:
    model = qformer()
    model(EVIDENCE[:1], rows("Smiling"), "reference:geometry")[..., 0].sum().backward()
    learned = {i for i, g in enumerate(model.queries.grad) if g.abs().sum() > 0}
    assert learned == {instruction_index("Smiling")}


def test_queries_begin_by_looking_at_their_own_places() -> None:
    torch.manual_seed(0)
    model = QFormer((64, 5), dim=128, out_dim=12, queries=16, depth=1, heads=4)
    look = model.look
    seen = model.read(torch.randn(1, 64, 5, generator=torch.Generator().manual_seed(1)))
    query, key = (
        look.to_q(look.norm(model.queries[:1])),
        look.to_k(look.norm_key(seen + model.place)),
    )
    logits = (query @ key.mT)[0].view(4, 4, 8, 8)  # 4 x 4 queries over 8 x 8 evidence tokens
    for row, column in ((0, 0), (3, 3), (0, 3)):
        own = logits[row, column, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        assert own.mean() > logits[row, column].mean() + logits[row, column].std()


def test_any_number_of_tokens_and_queries() -> None:
    assert place_codes(7, 12).shape == (7, 12) and place_codes(9, 12).shape == (9, 12)
    model = QFormer((10, 5), dim=16, out_dim=12, queries=3, depth=1, heads=2)
    assert model(torch.randn(2, 10, 5), rows("appearance", "geometry"), "reference").shape[1] == 3


@pytest.mark.parametrize("trunks", [1, 2])
def test_two_trunks_share_nothing_between_appearance_and_geometry(trunks: int) -> None:
    model, asked = qformer(trunks), rows("appearance")
    model(EVIDENCE[:1], asked, "reference:geometry")[..., 0].sum().backward()
    used = [any(p.grad is not None for p in trunk.parameters()) for trunk in model.trunks]
    assert used == ([True] if trunks == 1 else [True, False])


def test_each_instruction_has_a_source() -> None:
    assert len(INSTRUCTIONS) == 4 + len(ATTRIBUTES) == len(set(INSTRUCTIONS))
    assert source_of("everything") == "reference"
    assert source_of("identity") == "reference:identity"
    for name in ATTRIBUTES:
        kind = "appearance" if name in APPEARANCE else "geometry"
        assert source_of(name) == f"reference:{kind}"
    with pytest.raises(UserError, match="Did you mean 'appearance'"):
        source_of("apearance")
