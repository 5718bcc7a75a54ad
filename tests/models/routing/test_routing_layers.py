"""Layers: coarse and fine, and the checksum that ties files to them."""

from __future__ import annotations

from facecond.models.routing import Layer, checksum, groups


def test_coarse_is_deadiffs_layers_4_to_8(sd15: tuple[Layer, ...]) -> None:
    ids = [layer.id for layer in sd15]
    named = groups(sd15)
    assert list(named["coarse"]) == ids[4:9]
    assert list(named["fine"]) == ids[:4] + ids[9:]
    assert list(named["all"]) == ids


def test_checksum_depends_on_names_order_and_resolution(sd15: tuple[Layer, ...]) -> None:
    other = Layer(sd15[0].id, "down", 32)
    variants = [sd15, sd15[::-1], sd15[:-1], (other, *sd15[1:])]
    assert len({checksum(layers) for layers in variants}) == 4
    assert checksum(sd15) == checksum(list(sd15))
