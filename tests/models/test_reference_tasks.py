"""Tasks: which instruction, which gates, what is hidden."""

from __future__ import annotations

import torch

from facecond.labels import ANYTHING, APPEARANCE, ATTRIBUTES, UNSPECIFIED
from facecond.models.qformer import INSTRUCTIONS
from facecond.models.reference_tasks import TASKS, ReferenceConditions, ReferenceTasks

SOURCES = ("attributes", "mask", "reference:appearance", "reference:geometry")
LOOKS = torch.tensor([name in APPEARANCE for name in ATTRIBUTES])


def conditions(
    task: str,
    count: int = 64,
    attribute: int = -1,
    sources: tuple[str, ...] = SOURCES,
    **options: object,
) -> ReferenceConditions:
    tasks = ReferenceTasks(sources, **({"dropout": 0.0, "keep": 0.0} | options))
    attributes = torch.ones(count, 40, dtype=torch.int8)
    mask = torch.ones(count, 4, 4, dtype=torch.uint8)
    which = torch.full((count,), TASKS.index(task)), torch.full((count,), attribute)
    made = tasks(*which, attributes, mask, torch.Generator().manual_seed(0))
    assert (attributes == 1).all() and (mask == 1).all()  # the inputs are kept
    return made


def hidden(made: ReferenceConditions) -> tuple[torch.Tensor, torch.Tensor]:
    """Which attributes, and whether the mask, are hidden in each sample."""
    return made.attributes == UNSPECIFIED, (made.mask == ANYTHING).all((1, 2))


def test_a_task_opens_its_source_alone_and_hides_what_it_gives() -> None:
    made = conditions("appearance")
    assert (made.weights == torch.tensor([1.0, 1, 1, 0])).all()
    assert {INSTRUCTIONS[i] for i in made.instructions[:, 0]} == {"appearance"}
    values, masks = hidden(made)
    assert (values == LOOKS).all() and not masks.any()
    made = conditions("geometry")
    assert (made.weights == torch.tensor([1.0, 1, 0, 1])).all()
    values, masks = hidden(made)
    assert (values == ~LOOKS).all() and masks.all()
    made = conditions("reconstruction")
    assert (made.weights == 1).all()
    assert [INSTRUCTIONS[i] for i in made.instructions[0]] == ["appearance", "geometry"]
    values, masks = hidden(made)
    assert values.all() and masks.all()


def test_a_single_attribute_goes_where_its_kind_goes() -> None:
    for name, column in (("Blond_Hair", 2), ("Smiling", 3)):
        which = ATTRIBUTES.index(name)
        made = conditions("attribute", attribute=which)
        assert INSTRUCTIONS[made.instructions[0, column - 2]] == name
        assert made.weights[0].tolist() == [1.0, 1.0, float(column == 2), float(column == 3)]
        values, masks = hidden(made)
        # A mask would tell a smile, and other colours that of the hair.
        told = {"Blond_Hair": "Black_Hair Blond_Hair Brown_Hair Gray_Hair Bald"}
        names = told.get(name, name).split()
        assert (values == torch.tensor([other in names for other in ATTRIBUTES])).all()
        assert (masks == (name == "Smiling")).all()


def test_references_are_dropped_and_conditions_kept_at_their_rates() -> None:
    made = conditions("appearance", 4000, dropout=0.2, keep=0.3)
    assert abs((made.weights[:, 2] == 0).float().mean() - 0.2) < 0.03
    values, _ = hidden(made)
    assert abs((~values.any(1)).float().mean() - 0.3) < 0.03
    assert (conditions("reconstruction", 500, dropout=0.9).weights == 1).all()


def test_without_instructions_every_task_opens_the_whole() -> None:
    sources = ("attributes", "mask", "reference")
    for task in TASKS:
        made = conditions(task, attribute=0 if task == "attribute" else -1, sources=sources)
        assert (made.weights[:, 2] == (task != "both")).all()  # which has two instructions
        assert {INSTRUCTIONS[i] for i in made.instructions.flatten()} == {"everything"}


def test_what_no_source_gives_is_not_hidden() -> None:
    made = conditions("geometry", sources=("attributes", "mask", "reference:appearance"))
    values, masks = hidden(made)
    assert not values.any() and not masks.any() and (made.weights[:, 2] == 0).all()


def test_the_data_say_what_is_appearance() -> None:
    made = conditions("appearance", appearance=("Bald", "Young"))
    shown = torch.tensor([name in ("Bald", "Young") for name in ATTRIBUTES])
    assert (hidden(made)[0] == shown).all()
    assert (hidden(conditions("geometry", appearance=("Bald", "Young")))[0] == ~shown).all()
    asked = {"attribute": ATTRIBUTES.index("Male"), "appearance": ("Bald", "Young")}
    assert hidden(conditions("attribute", **asked))[1].all()  # the mask tells it here


def test_identity_is_what_neither_mask_nor_attributes_say() -> None:
    sources = (*SOURCES, "reference:identity")
    made = conditions("identity", sources=sources)
    assert made.weights[0].tolist() == [1.0, 1, 0, 0, 1]
    assert INSTRUCTIONS[made.instructions[0, 2]] == "identity"
    values, masks = hidden(made)
    assert not values.any() and not masks.any()
    # The same picture is no other picture of the person: it teaches to copy.
    assert conditions("reconstruction", sources=sources).weights[0].tolist() == [1.0, 1, 1, 1, 0]


def test_both_take_from_two_references() -> None:
    made = conditions("both")
    assert (made.weights == 1).all() and all(part.all() for part in hidden(made))
    assert [INSTRUCTIONS[i] for i in made.instructions[0]] == ["appearance", "geometry"]
    lost = conditions("both", 400, dropout=0.5).weights[:, 2:]
    assert (lost[:, 0] == lost[:, 1]).all() and 100 < lost[:, 0].sum() < 300
    looks, shape = torch.zeros(2, 5, 3), torch.ones(2, 5, 3)
    tasks = ReferenceTasks((*SOURCES, "reference:identity"))
    assert tasks.evidence({"evidence": looks}) is looks
    found = tasks.evidence({"evidence": looks, "geometry_evidence": shape})
    assert torch.equal(found, torch.stack([looks, shape, looks], 1))
