"""An edit: what it keeps bit for bit, what it changes, by how much, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from facecond.data.rendered import render
from facecond.editing import EditedFace, edit_face
from facecond.editing.edit import EMPHASIS, blended, turned_to
from facecond.errors import UserError
from facecond.labels import ANYTHING, ATTRIBUTES, MASK_CLASSES, UNSPECIFIED, parse_attributes
from facecond.models.routing import preset

SIZE = 32
HAIR = MASK_CLASSES.index("hair")


@pytest.fixture(scope="module")
def pipeline(make_pipeline: Callable[..., Any]) -> Any:
    return make_pipeline()


@pytest.fixture(scope="module")
def face() -> Any:
    return render(0, 1, 64)


@pytest.fixture(scope="module")
def photo(face: Any) -> np.ndarray:
    return np.ascontiguousarray(face.image[::2, ::2])


@pytest.fixture(scope="module")
def layout(face: Any) -> np.ndarray:
    return np.ascontiguousarray(face.mask[::2, ::2])


def edit(
    pipeline: Any, photo: np.ndarray, change: Any = "Blond_Hair", **options: Any
) -> EditedFace:
    return edit_face(pipeline, photo, change, num_inference_steps=4, **options)


def test_untouched_pixels_are_the_photos_own(
    pipeline: Any, photo: np.ndarray, layout: np.ndarray
) -> None:
    done = edit(pipeline, photo, mask=layout, region="hair")
    untouched = done.weight == 0
    assert untouched.mean() > 0.2
    np.testing.assert_array_equal(done.image[untouched], photo[untouched])
    np.testing.assert_array_equal(done.weight == 1, layout == HAIR)
    assert done.errors.untouched.largest == 0
    assert done.errors.changed.l1 is not None and done.errors.changed.l1 > 0
    np.testing.assert_array_equal(done.photo, photo)


def test_it_is_deterministic(pipeline: Any, photo: np.ndarray, layout: np.ndarray) -> None:
    first, second = (edit(pipeline, photo, "Smiling", mask=layout) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    assert first.errors == second.errors


def test_drafts_of_the_new_face_come_nearer_to_it(
    pipeline: Any, photo: np.ndarray, layout: np.ndarray
) -> None:
    order: list[str] = []
    drafts: list[np.ndarray] = []

    def after_draft(picture: Callable[[], np.ndarray]) -> None:
        order.append("draft")
        drafts.append(picture())

    done = edit(
        pipeline, photo, "Blond_Hair=30", mask=layout, region="hair", strength=1.0,
        after_step=lambda: order.append("step"), after_draft=after_draft,
    )  # fmt: skip
    assert order == ["step"] * 8 + ["draft", "step"] * 4  # none of what only measures the loss
    untouched = done.weight == 0
    far = [np.abs(draft - done.image.astype(float)).mean() for draft in drafts]
    assert far[0] > far[-1] and (drafts[-1] != photo).any()
    for draft in drafts:
        np.testing.assert_array_equal(draft[untouched], photo[untouched])


def test_the_way_there_and_back_is_small_and_shrinks_with_steps(
    pipeline: Any, photo: np.ndarray, layout: np.ndarray
) -> None:
    errors = [
        edit_face(
            pipeline, photo, "Smiling", mask=layout, strength=1.0, num_inference_steps=steps
        ).errors
        for steps in (1, 4, 16)
    ]
    rms = [each.latents_rms for each in errors]
    assert rms[0] > rms[1] > rms[2]
    assert rms[2] < 0.005
    assert errors[2].inversion.psnr is None or errors[2].inversion.psnr > 45


def test_more_strength_changes_more(pipeline: Any, photo: np.ndarray, layout: np.ndarray) -> None:
    hair, sizes = layout == HAIR, []
    for strength in (0.1, 0.4, 1.0):
        done = edit(pipeline, photo, "Blond_Hair=30", mask=layout, strength=strength)
        # Beside the reconstruction: what the first stage loses is the same for all.
        difference = done.image.astype(int) - done.reconstruction
        sizes.append(float(np.abs(difference[hair]).mean()))
    assert sizes[0] < sizes[1] < sizes[2]


def test_a_new_layout_is_drawn_where_it_differs(
    pipeline: Any, photo: np.ndarray, layout: np.ndarray
) -> None:
    wanted = layout.copy()
    wanted[:8] = HAIR
    done = edit(pipeline, photo, None, mask=layout, new_mask=wanted)
    np.testing.assert_array_equal(done.drawn_layout, wanted)
    np.testing.assert_array_equal(done.weight == 1, layout != wanted)
    assert (done.after == done.before).all()


def test_without_a_layout_the_whole_picture_may_change(pipeline: Any, photo: np.ndarray) -> None:
    done = edit(pipeline, photo)
    assert (done.weight == 1).all() and (done.drawn_layout == ANYTHING).all()
    assert done.errors.untouched.largest is None


def test_what_the_photo_shows_stays_and_rivals_open() -> None:
    before = parse_attributes("Black_Hair,Male,-Smiling,No_Beard")
    after = turned_to(before, parse_attributes("Blond_Hair,Smiling,-Eyeglasses"))
    at = {name: int(after[ATTRIBUTES.index(name)]) for name in ATTRIBUTES}
    assert (at["Blond_Hair"], at["Smiling"], at["Eyeglasses"], at["Male"]) == (1, 1, 0, 1)
    assert at["Black_Hair"] == at["Brown_Hair"] == UNSPECIFIED and at["No_Beard"] == 1
    with pytest.raises(UserError, match="Black_Hair and Blond_Hair exclude each other"):
        turned_to(before, parse_attributes("Blond_Hair,Black_Hair"))


def test_emphasis_and_guidance(pipeline: Any, photo: np.ndarray, layout: np.ndarray) -> None:
    plain = edit(pipeline, photo, mask=layout)
    strong = edit(pipeline, photo, "Blond_Hair=4", mask=layout, guidance={"mask": 2.0})
    assert dict(strong.guidance) == {"mask": 2.0, "Blond_Hair": 4.0}
    assert dict(plain.guidance) == {"Blond_Hair": EMPHASIS}
    assert (strong.image != plain.image).any()
    assert strong.errors.reconstruction == plain.errors.reconstruction  # inverted without scales


def test_a_blend_of_equal_pictures_is_the_picture(photo: np.ndarray) -> None:
    weight = np.linspace(0, 1, SIZE * SIZE, dtype=np.float32).reshape(SIZE, SIZE)
    np.testing.assert_array_equal(blended(photo, photo, weight), photo)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ("Smilling", {}, "Did you mean 'Smiling'"),
        ("Blond_Hair,Gray_Hair", {}, "exclude each other"),
        ("Smiling", {"strength": 0.0}, "0 is no noise level"),
        ("Smiling", {"strength": 1.5}, "above 0, up to 1"),
        ("Smiling", {"region": "hare"}, "Did you mean 'hair'"),
        ("Smiling", {"region": "hair", "mask": None}, "layout of the photo is not known"),
        ("Smiling", {"mask": np.zeros((16, 16), np.uint8)}, r"expected shape .*32"),
        ("Smiling", {"new_mask": np.full((32, 32), 77, np.uint8)}, "unknown classes"),
        (None, {}, "layouts are equal"),
        (None, {"mask": None}, "nothing to change"),
        ("Smiling", {"guidance": {"masks": 2.0}}, "Did you mean 'mask'"),
        ("Smiling", {"attributes": "Smiling"}, "shows Smiling already"),
        (np.zeros((2, 40), np.int8), {}, "expected 40 values"),
    ],
)
def test_bad_input(
    pipeline: Any,
    photo: np.ndarray,
    layout: np.ndarray,
    change: Any,
    options: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(UserError, match=message):
        edit(pipeline, photo, change, **({"mask": layout} | options))


def test_a_photo_of_another_size(pipeline: Any, layout: np.ndarray) -> None:
    with pytest.raises(UserError, match=r"expected uint8 of shape .*32"):
        edit(pipeline, np.zeros((64, 64, 3), np.uint8), mask=layout)
    with pytest.raises(UserError, match="1 or more"):
        edit_face(
            pipeline, np.zeros((32, 32, 3), np.uint8), "Smiling", mask=layout, num_inference_steps=0
        )


def test_a_model_that_does_not_read_a_condition(
    make_pipeline: Callable[..., Any], photo: np.ndarray, layout: np.ndarray
) -> None:
    blind = make_pipeline({"route": lambda layers: preset("all_all", layers, ["attributes"])})
    with pytest.raises(UserError, match="reads no mask"):
        edit(blind, photo, None, mask=layout, new_mask=np.zeros_like(layout))
    done = edit(blind, photo, mask=layout)  # the layout still says where
    assert done.errors.untouched.largest == 0
