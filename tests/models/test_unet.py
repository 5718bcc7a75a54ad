"""FaceUNet: order of execution, states of the routing, saving, and the ways it is run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from facecond.errors import UserError
from facecond.models.attention import Conditions
from facecond.models.routing import Routing, Rule, preset
from facecond.models.unet import FaceUNet

Make = Callable[..., FaceUNet]
Inputs = Callable[..., tuple[Tensor, dict[str, Tensor]]]
IDS = (
    "down_blocks.0.attentions.0.transformer_blocks.0",
    "down_blocks.1.attentions.0.transformer_blocks.0",
    "mid_block.attentions.0.transformer_blocks.0",
    "up_blocks.0.attentions.0.transformer_blocks.0",
    "up_blocks.0.attentions.1.transformer_blocks.0",
    "up_blocks.1.attentions.0.transformer_blocks.0",
    "up_blocks.1.attentions.1.transformer_blocks.0",
)


@torch.no_grad()
def predict(unet: FaceUNet, x_t: Tensor, tokens: dict[str, Tensor], t: Any = 300) -> Tensor:
    return unet(x_t, t, unet.conditions(tokens)).sample


def custom_routing(unet: FaceUNet) -> Routing:
    """Attributes in the mid and one off layer; the mask in the first four, half as strong."""
    rules = (
        Rule("attributes", (IDS[2],)),
        Rule("attributes", (IDS[6],), 0.0),
        Rule("mask", IDS[:4], 0.5),
    )
    return Routing("custom", unet.trained_routing.layers, rules)


def test_layers_are_visited_once_each_in_the_declared_order(
    make_unet: Make, make_inputs: Inputs
) -> None:
    unet = make_unet()
    layers = unet.trained_routing.layers
    assert tuple(layer.id for layer in layers) == IDS
    assert [layer.stage for layer in layers] == ["down"] * 2 + ["mid"] + ["up"] * 4
    visited: list[tuple[str, int]] = []
    for layer in layers:
        block = unet.get_submodule(layer.id)

        def note(module: Any, args: Any, kwargs: Any, output: Any, name: str = layer.id) -> None:
            visited.append((name, args[0].shape[1]))

        block.attn2.register_forward_hook(note, with_kwargs=True)
    predict(unet, *make_inputs())
    assert visited == [(layer.id, layer.resolution**2) for layer in layers]
    rows = [attention.layer_index for attention in unet.cross_attentions()]
    assert rows == list(range(7))


def test_each_layer_reads_its_own_row_of_the_gates(make_unet: Make, make_inputs: Inputs) -> None:
    unet = make_unet()
    _, tokens = make_inputs()
    gates = torch.rand(7, 2, generator=torch.Generator().manual_seed(0)) + 0.5
    for row, attention in enumerate(unet.cross_attentions()):
        generator = torch.Generator().manual_seed(row)
        hidden = torch.randn(2, 16, attention.to_q.in_features, generator=generator)
        only_own_row = torch.full_like(gates, float("nan"))
        only_own_row[row] = gates[row]
        out = attention(hidden, Conditions(tokens, gates))
        assert torch.equal(attention(hidden, Conditions(tokens, only_own_row)), out)


@pytest.mark.parametrize("positions", ["none", "sincos", "rotary", "locality"])
@pytest.mark.parametrize("routing", ["all_all", "coarse_fine"])
def test_projected_conditions_equal_tokens(
    make_unet: Make, make_inputs: Inputs, positions: str, routing: str
) -> None:
    unet = make_unet(positions=positions, routing=routing)
    x_t, tokens = make_inputs()
    projected = unet.project_conditions(tokens)
    with torch.no_grad():
        again = unet(x_t, 300, projected).sample
    assert torch.equal(again, predict(unet, x_t, tokens))
    assert not projected.tokens


def test_sources_reach_the_output_and_gates_of_zero_cut_them(
    make_unet: Make, make_inputs: Inputs
) -> None:
    unet = make_unet()
    x_t, tokens = make_inputs()
    full = predict(unet, x_t, tokens)
    for column, source in enumerate(unet.routing.sources):
        other = dict(tokens) | {source: tokens[source].flip(0)}
        assert not torch.allclose(predict(unet, x_t, other), full, atol=1e-6)
        gates = unet.gates()
        gates[:, column] = 0
        with torch.no_grad():
            cut = unet(x_t, 300, Conditions(tokens, gates)).sample
            assert torch.equal(cut, unet(x_t, 300, Conditions(other, gates)).sample)


def test_save_and_load_is_bit_equal(make_unet: Make, make_inputs: Inputs, tmp_path: Path) -> None:
    first = make_unet()
    unet = make_unet(routing=custom_routing(first).to_dict(), positions="rotary")
    unet.save_pretrained(tmp_path)
    loaded, report = FaceUNet.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert not report["mismatched_keys"]
    assert loaded.trained_routing == unet.trained_routing
    assert loaded.config.routing == unet.config.routing
    assert loaded.config.positions == "rotary" and loaded.config.mask_grid == 4
    before, after = unet.state_dict(), loaded.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    x_t, tokens = make_inputs()
    assert torch.equal(predict(unet, x_t, tokens), predict(loaded.eval(), x_t, tokens))


def test_absent_cells_have_no_parameters_and_off_cells_have(make_unet: Make) -> None:
    first = make_unet()
    unet = make_unet(routing=custom_routing(first).to_dict())
    present = {
        (row, source)
        for row, attention in enumerate(unet.cross_attentions())
        for source in attention.to_kv
    }
    assert present == {(2, "attributes"), (6, "attributes")} | {(row, "mask") for row in range(4)}
    assert [attention.plan for attention in unet.cross_attentions()] == [
        ("mask",), ("mask",), ("attributes", "mask"), ("mask",), (), (), (),
    ]  # fmt: skip
    names = [name for name, _ in unet.named_parameters() if "to_kv" in name]
    assert len(names) == 6


def test_tokens_that_tell_geometry_keep_their_places(make_unet: Make) -> None:
    parts = ("reference:appearance", "reference:geometry")
    for sources, placed in ((parts, {"reference:geometry"}), (("reference",), {"reference"})):
        rules = tuple(Rule(source, IDS) for source in sources)
        table = Routing("references", make_unet().trained_routing.layers, rules, sources)
        unet = make_unet(routing=table.to_dict(), geometry_grid=2)
        for attention in unet.cross_attentions():
            assert set(attention.locality) == placed


def test_routing_of_another_architecture_is_refused(make_unet: Make) -> None:
    small = make_unet(layers_per_block=2)
    with pytest.raises(UserError, match="another architecture"):
        make_unet(routing=small.routing.to_dict())
    with pytest.raises(UserError, match="another architecture"):
        make_unet().use_routing(small.routing)
    with pytest.raises(UserError, match="Did you mean 'fine_coarse'"):
        make_unet(routing="fine_corse")


def test_switching_off_and_on_again_is_bit_equal(make_unet: Make, make_inputs: Inputs) -> None:
    unet = make_unet()
    layers = unet.trained_routing.layers
    x_t, tokens = make_inputs()
    full = predict(unet, x_t, tokens)
    unet.use_routing(Routing("no mask", layers, (Rule("attributes", IDS), Rule("mask", IDS, 0.0))))
    without = predict(unet, x_t, tokens)
    assert not torch.equal(without, full)
    assert torch.equal(predict(unet, x_t, {"attributes": tokens["attributes"]}), without)
    unet.use_routing(preset("coarse_fine", layers))
    split = predict(unet, x_t, tokens)
    assert not torch.equal(split, full)
    unet.use_routing(unet.trained_routing)
    assert torch.equal(predict(unet, x_t, tokens), full)


def test_untrained_cells_cannot_be_switched_on(make_unet: Make, make_inputs: Inputs) -> None:
    unet = make_unet(routing="coarse_fine")
    x_t, tokens = make_inputs()
    before = predict(unet, x_t, tokens)
    with pytest.raises(UserError, match="was not trained"):
        unet.use_routing(preset("all_all", unet.trained_routing.layers))
    assert unet.routing == unet.trained_routing
    assert torch.equal(predict(unet, x_t, tokens), before)


@pytest.mark.parametrize("positions", ["rotary", "locality"])
def test_gradient_checkpointing_gives_the_same_gradients(
    make_unet: Make, make_inputs: Inputs, positions: str
) -> None:
    gradients = []
    for checkpointed in (False, True):
        unet = make_unet(positions=positions).train()
        if checkpointed:
            unet.enable_gradient_checkpointing()
        x_t, tokens = make_inputs()
        for value in tokens.values():
            value.requires_grad_()
        out = unet(x_t, torch.tensor([10.0, 900.0]), unet.conditions(tokens)).sample
        out.square().sum().backward()
        grads = {name: p.grad for name, p in unet.named_parameters()}
        gradients.append(grads | {source: value.grad for source, value in tokens.items()})
    plain, recomputed = gradients
    assert all(grad is not None for grad in plain.values())
    assert all(torch.allclose(plain[k], recomputed[k], rtol=1e-4, atol=1e-5) for k in plain)


@pytest.mark.slow
@pytest.mark.parametrize("projected", [False, True], ids=["tokens", "projected"])
def test_forward_compiles_to_one_graph(
    make_unet: Make, make_inputs: Inputs, projected: bool
) -> None:
    unet = make_unet(
        block_out_channels=(16,),
        down_block_types=("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",),
        attention_head_dim=2,
    )
    x_t, tokens = make_inputs()
    conditions = unet.project_conditions(tokens) if projected else unet.conditions(tokens)
    timestep = torch.tensor([10.0, 900.0])
    torch._dynamo.reset()
    compiled = torch.compile(unet, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        expected = unet(x_t, timestep, conditions).sample
        assert torch.allclose(compiled(x_t, timestep, conditions).sample, expected, atol=1e-5)
        # The gates are tensors: other values need no other graph, and count.
        graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        halved = Conditions(conditions.tokens, conditions.gates * 0.5, conditions.projected)
        weaker = unet(x_t, timestep, halved).sample
        assert not torch.allclose(weaker, expected, atol=1e-4)
        assert torch.allclose(compiled(x_t, timestep, halved).sample, weaker, atol=1e-5)
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs > 0


def test_attention_backend_reaches_every_layer(make_unet: Make, make_inputs: Inputs) -> None:
    unet = make_unet()
    x_t, tokens = make_inputs()
    expected = predict(unet, x_t, tokens)
    try:
        unet.set_attention_backend("_native_math")
        for layer in unet.trained_routing.layers:
            block = unet.get_submodule(layer.id)
            for attention in (block.attn1, block.attn2):
                assert attention.processor._attention_backend == "_native_math"
        assert torch.allclose(predict(unet, x_t, tokens), expected, atol=1e-5)
    finally:
        unet.set_attention_backend("native")  # diffusers keeps the last choice for all models
    assert torch.equal(predict(unet, x_t, tokens), expected)


def test_timestep_may_be_a_number_a_scalar_or_one_per_sample(
    make_unet: Make, make_inputs: Inputs
) -> None:
    unet = make_unet()
    x_t, tokens = make_inputs()
    expected = predict(unet, x_t, tokens, 250.0)
    for t in (250, torch.tensor(250), torch.tensor(250.0), torch.tensor([250.0, 250.0])):
        assert torch.allclose(predict(unet, x_t, tokens, t), expected, atol=1e-6)
    fraction = predict(unet, x_t, tokens, torch.tensor([250.5, 250.5]))
    assert not torch.allclose(fraction, expected, atol=1e-6)


def test_samples_of_a_batch_do_not_mix(make_unet: Make, make_inputs: Inputs) -> None:
    unet = make_unet()
    x_t, tokens = make_inputs(3)
    together = predict(unet, x_t, tokens, torch.tensor([5.0, 400.0, 990.0]))
    for i, t in enumerate((5.0, 400.0, 990.0)):
        alone = predict(unet, x_t[i : i + 1], {s: v[i : i + 1] for s, v in tokens.items()}, t)
        assert torch.allclose(together[i : i + 1], alone, atol=1e-5)


def test_gates_follow_the_noise_level(make_unet: Make, make_inputs: Inputs) -> None:
    layers = make_unet().trained_routing.layers
    unet = make_unet(routing=preset("mask_cut", layers).to_dict())
    x_t, tokens = make_inputs()
    noisy, clean = torch.tensor([-8.0]), torch.tensor([2.0])
    assert unet.gates(noisy).shape == (1, 7, 2)
    with pytest.raises(ValueError, match="depend on the noise level"):
        unet.gates()
    other = dict(tokens) | {"mask": tokens["mask"].flip(0)}
    both = torch.tensor([-8.0, 2.0])
    with torch.no_grad():

        def out(given: dict[str, Tensor], log_snr: Tensor) -> Tensor:
            return unet(x_t, 300, unet.conditions(given, log_snr)).sample

        assert torch.equal(out(tokens, clean), out(other, clean))
        assert not torch.allclose(out(tokens, noisy), out(other, noisy), atol=1e-5)
        mixed = out(tokens, both)
        assert torch.allclose(mixed[0], out(tokens, noisy)[0], atol=1e-5)
        assert torch.allclose(mixed[1], out(tokens, clean)[1], atol=1e-5)


@pytest.mark.parametrize("combine", ["joint", "concat"])
def test_shared_softmax_survives_saving(
    make_unet: Make, make_inputs: Inputs, tmp_path: Path, combine: str
) -> None:
    layers = make_unet().trained_routing.layers
    rules = (Rule("attributes", IDS[:3], gate="learned"), Rule("mask", IDS))
    table = Routing("mine", layers, rules, combine=combine)
    unet = make_unet(routing=table.to_dict())
    with torch.no_grad():
        unet.cross_attentions()[1].gamma["attributes"].fill_(0.7)
    unet.save_pretrained(tmp_path)
    loaded = FaceUNet.from_pretrained(tmp_path).eval()
    assert loaded.trained_routing == table
    x_t, tokens = make_inputs()
    assert torch.equal(predict(unet, x_t, tokens), predict(loaded, x_t, tokens))
    assert float(loaded.cross_attentions()[1].gamma["attributes"].detach()) == pytest.approx(0.7)
    with torch.no_grad():  # projected conditions go the same way
        again = unet(x_t, 300, unet.project_conditions(tokens)).sample
    assert torch.allclose(again, predict(unet, x_t, tokens), atol=1e-6)


def test_planes_enter_beside_the_latents(make_unet: Make, make_inputs: Inputs) -> None:
    unet = make_unet(in_channels=5)
    x_t, tokens = make_inputs()
    planes = torch.randn(2, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        out = unet(x_t, 300, unet.conditions(tokens, planes=planes)).sample
        assert out.shape == x_t.shape
        other = unet(x_t, 300, unet.project_conditions(tokens, planes.flip(0))).sample
    assert not torch.allclose(out, other, atol=1e-5)
