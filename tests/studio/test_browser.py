"""The page in a real browser: paint, choose, draw, cancel, compare; two people at once; errors.

Screenshots go to the folder that FACECOND_SCREENSHOTS names, else to pytest's temporary one.
"""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facecond.data.masks import mask_png, random_mask, read_mask
from facecond.data.rendered import render
from facecond.data.writing import encode_png
from facecond.evaluation.photo import central_square
from facecond.labels import ANYTHING, ATTRIBUTES, MASK_CLASSES, mirror_mask
from facecond.studio import app
from facecond.studio import session as sessions
from facecond.studio.codec import file_text
from facecond.studio.edits import EditRequest
from facecond.studio.photo_reader import PhotoReader
from facecond.studio.request import DrawRequest
from facecond.studio.session import ModelSession
from facecond.studio.starts import Starts

pytest.importorskip("gradio", reason="Gradio is not installed (extra [studio])")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = os.environ.get("FACECOND_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]

SIZE = 32
HAIR, HAT, SKIN = (MASK_CLASSES.index(name) for name in ("hair", "hat", "skin"))
WIDE, PHONE = (1280, 800), (390, 844)


@pytest.fixture(scope="module")
def address(session: ModelSession) -> Iterator[str]:
    blocks = app.build(session, Starts(session.image_size))
    yield app.start(blocks, "127.0.0.1", None)
    blocks.close(verbose=False)


@pytest.fixture(scope="module")
def reader_address(reader: ModelSession) -> Iterator[str]:
    """A studio whose model reads references."""
    blocks = app.build(reader, Starts(reader.image_size))
    yield app.start(blocks, "127.0.0.1", None)
    blocks.close(verbose=False)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as control:
        flags = ["--no-sandbox", "--use-angle=swiftshader"]
        started = control.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield started
        started.close()


@pytest.fixture
def asked(session: ModelSession, monkeypatch: pytest.MonkeyPatch) -> list[DrawRequest]:
    """The requests that arrived, in order."""
    arrived: list[DrawRequest] = []
    draw = session.draw

    def noted(request: DrawRequest, job: Any) -> Any:
        arrived.append(request)
        return draw(request, job)

    monkeypatch.setattr(session, "draw", noted)
    return arrived


@pytest.fixture
def held(session: ModelSession, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """No step ends before this is set."""
    gate, predict = threading.Event(), session.pipeline._predict

    def waits(*given: Any) -> Any:
        assert gate.wait(60)
        return predict(*given)

    monkeypatch.setattr(session.pipeline, "_predict", waits)
    return gate


Open = Callable[..., Any]


@pytest.fixture
def visit(address: str, browser: Any) -> Iterator[Open]:
    """Opens the page in a browser of its own. At the end no console error and no request to
    elsewhere may have been seen."""
    contexts, wrong = [], []

    def opened(
        size: tuple[int, int] = WIDE,
        dark: bool = False,
        errors: bool = False,
        at: str = address,
        ready: str = ".facecond-studio[data-ready]",
    ) -> Any:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            has_touch=size == PHONE,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: wrong.append(f"page error: {error}"))
        if not errors:
            page.on("console", lambda m: m.type == "error" and wrong.append(f"console: {m.text}"))
        page.on("request", lambda request: _own(request.url, at) or wrong.append(request.url))
        page.goto(at)
        page.wait_for_selector(ready)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not wrong


def _own(url: str, address: str) -> bool:
    return url.startswith((address, "data:", "blob:"))


@pytest.fixture
def shoot(tmp_path: Path) -> Callable[[Any, str], None]:
    folder = Path(os.environ.get("FACECOND_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    def taken(page: Any, name: str) -> None:
        page.wait_for_timeout(250)
        page.screenshot(path=folder / f"studio_{name}.png")

    return taken


def draw(page: Any) -> list[str]:
    """Click, wait for the end, return the pictures."""
    page.locator("#draw").click()
    page.wait_for_selector("#result-actions:visible")
    return pictures(page)


def pictures(page: Any) -> list[str]:
    return page.eval_on_selector_all("#faces .face img", "all => all.map(one => one.src)")


def point(page: Any, x: float, y: float) -> tuple[float, float]:
    """Where a pixel of the mask lies on the screen."""
    box = page.locator("#canvas").bounding_box()
    return box["x"] + (x + 0.5) * box["width"] / SIZE, box["y"] + (y + 0.5) * box["height"] / SIZE


def line(page: Any, start: tuple[int, int], end: tuple[int, int]) -> None:
    page.mouse.move(*point(page, *start))
    page.mouse.down()
    page.mouse.move(*point(page, *end), steps=7)
    page.mouse.up()


def clear(page: Any) -> None:
    page.get_by_role("button", name="Clear: leave all open").click()


def brush(page: Any, name: str, diameter: int = 1) -> None:
    page.get_by_role("radio", name=name, exact=True).click()
    page.keyboard.press("b")
    page.get_by_label("Brush size").fill(str(diameter))
    page.locator("#viewport").hover()


def test_what_is_painted_arrives_class_for_class(visit: Open, asked: list[DrawRequest]) -> None:
    page = visit()
    clear(page)
    expected = np.full((SIZE, SIZE), ANYTHING, np.uint8)
    brush(page, "hair")
    line(page, (3, 4), (20, 4))
    expected[4, 3:21] = HAIR
    page.keyboard.press("f")
    page.get_by_role("radio", name="skin", exact=True).click()
    page.mouse.click(*point(page, 10, 20))
    expected[expected == ANYTHING] = SKIN
    brush(page, "hat")
    line(page, (30, 10), (30, 25))
    expected[10:26, 30] = HAT
    page.keyboard.press("e")
    line(page, (5, 4), (8, 4))
    expected[4, 5:9] = ANYTHING
    first = draw(page)
    assert len(asked) == 1 and np.array_equal(asked[0].mask, expected)
    page.keyboard.press("x")
    second = draw(page)
    assert np.array_equal(asked[1].mask, mirror_mask(expected))
    assert len(first) == 8 and first != second and asked[0].seeds == asked[1].seeds


def test_undo_redo_and_both_sides_at_once(visit: Open, asked: list[DrawRequest]) -> None:
    page = visit()
    clear(page)
    page.keyboard.press("s")
    brush(page, "left eye")
    page.mouse.click(*point(page, 20, 12))
    brush(page, "hat")
    page.mouse.click(*point(page, 16, 2))
    page.keyboard.press("Control+z")
    draw(page)
    page.keyboard.press("Control+y")
    draw(page)
    expected = np.full((SIZE, SIZE), ANYTHING, np.uint8)
    expected[12, 20], expected[12, SIZE - 1 - 20] = 4, 5  # the other side is the right eye
    assert np.array_equal(asked[0].mask, expected)
    expected[2, [15, 16]] = HAT
    assert np.array_equal(asked[1].mask, expected)


def test_zoom_does_not_move_the_paint(visit: Open, asked: list[DrawRequest]) -> None:
    page = visit()
    clear(page)
    brush(page, "hat")
    page.keyboard.press("+")
    page.keyboard.press("+")
    page.mouse.click(*point(page, 15, 17))
    draw(page)
    assert np.argwhere(asked[0].mask == HAT).tolist() == [[17, 15]]


def test_a_distilled_model_offers_what_it_was_taught(
    student: ModelSession, visit: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived: list[DrawRequest] = []
    drawn = student.draw

    def noted(request: DrawRequest, job: Any) -> Any:
        arrived.append(request)
        return drawn(request, job)

    monkeypatch.setattr(student, "draw", noted)
    blocks = app.build(student, Starts(student.image_size))
    try:
        page = visit(at=app.start(blocks, "127.0.0.1", None))
        steps, mask, attributes = (
            page.locator(f"#guidance input[data-kind={kind}]")
            for kind in ("steps", "mask", "attributes")
        )
        page.get_by_role("tab", name="Guidance").click()
        assert [each.get_attribute("max") for each in (steps, mask, attributes)] == ["3", "3", "1"]
        assert page.locator(".slider.steps output").inner_text() == "4"
        steps.fill("1")
        mask.fill("2.5")
        assert page.locator(".slider.steps output").inner_text() == "2"
        draw(page)
        assert arrived[-1].steps == 2 and arrived[-1].guidance["mask"] == 2.5
        page.locator("#guidance .link").click()
        draw(page)
        assert arrived[-1].steps == 4 and arrived[-1].guidance["mask"] == 2.0
    finally:
        blocks.close(verbose=False)


def test_touch_paints_and_the_narrow_page_has_everything(
    visit: Open, asked: list[DrawRequest]
) -> None:
    page = visit(PHONE)
    clear(page)
    page.get_by_role("radio", name="hat", exact=True).tap()
    page.get_by_label("Brush size").fill("1")
    page.touchscreen.tap(*point(page, 9, 11))
    page.locator("#bottom [data-shows=attributes]").tap()
    page.get_by_role("button", name="smiling", exact=True).tap()
    assert len(draw(page)) == 8
    assert np.argwhere(asked[0].mask == HAT).tolist() == [[11, 9]]
    assert asked[0].attributes[ATTRIBUTES.index("Smiling")] == 1
    for view in ("layout", "guidance", "routing", "faces"):
        page.locator(f"#bottom [data-shows={view}]").tap()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]


def touch(page: Any, *steps: dict[str, tuple[float, float]]) -> None:
    """Fingers on the screen: at each step where they are, by their name; at the end all go."""
    device = page.context.new_cdp_session(page)

    def send(kind: str, places: dict[str, tuple[float, float]]) -> None:
        points = [{"x": x, "y": y, "id": ord(finger)} for finger, (x, y) in places.items()]
        device.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    before: dict[str, tuple[float, float]] = {}
    for there in steps:
        if gone := {finger: place for finger, place in before.items() if finger not in there}:
            send("touchEnd", gone)
        else:
            send("touchMove" if there.keys() == before.keys() else "touchStart", there)
        before = there
    send("touchEnd", {})
    device.detach()


def test_a_pinch_zooms_and_changes_nothing_else(visit: Open, asked: list[DrawRequest]) -> None:
    page = visit(PHONE)
    clear(page)
    page.get_by_role("radio", name="hat", exact=True).tap()
    page.get_by_label("Brush size").fill("1")
    page.touchscreen.tap(*point(page, 9, 11))
    page.get_by_role("button", name="Undo").tap()
    redo = page.get_by_role("button", name="Redo")

    def view() -> str:
        return str(page.locator("#stage").evaluate("one => one.style.transform"))

    box = page.locator("#viewport").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    a, b = (x - 20, y), (x + 20, y)

    def pinch(*after: dict[str, tuple[float, float]]) -> None:
        touch(page, {"a": a}, {"a": a, "b": b}, {"a": a, "b": (x + 60, y + 5)}, *after)

    pinch()
    assert "scale(2" in view()  # from 40 to 80 pixels
    assert redo.is_enabled()  # the stroke that the first finger began was never there
    page.get_by_role("button", name="Zoom out").tap()
    rest = view()
    both = {"a": a, "b": b}
    touch(page, {"a": a}, both, {**both, "c": (x, y + 40)}, {**both, "c": (x + 30, y + 60)})
    touch(page, {"a": a}, both, {"b": b}, {"b": (x + 30, y + 60)})  # one is lifted, the other moves
    assert view() == rest
    page.get_by_role("button", name="Fill").tap()
    pinch()
    page.get_by_role("button", name="Pick").tap()
    pinch()
    assert redo.is_enabled()
    assert page.get_by_role("radio", name="hat", exact=True).get_attribute("aria-checked") == "true"
    redo.tap()
    draw(page)
    assert np.argwhere(asked[0].mask != ANYTHING).tolist() == [[11, 9]]


def test_attributes_guidance_and_numbers_arrive(visit: Open, asked: list[DrawRequest]) -> None:
    page = visit()
    assert page.get_by_role("tab").all_inner_texts() == ["Attributes", "Guidance", "Routing"]
    page.get_by_label("Search attributes").fill("hair")
    page.get_by_role("button", name="blond hair", exact=True).click()
    page.get_by_role("button", name="black hair", exact=True).click()  # takes its place
    page.get_by_label("Search attributes").fill("")
    page.get_by_role("button", name="not eyeglasses", exact=True).click()
    page.get_by_role("tab", name="Guidance").click()
    page.get_by_label("Follow the layout").fill("3.5")
    page.get_by_label("Steps").fill("2")
    page.get_by_label("Faces", exact=True).first.fill("3")
    page.get_by_label("Seed", exact=True).fill("41")
    draw(page)
    (request,) = asked
    set_ = {n: int(v) for n, v in zip(ATTRIBUTES, request.attributes, strict=True) if v >= 0}
    assert set_ == {"Black_Hair": 1, "Eyeglasses": 0}
    assert request.guidance == {"mask": 3.5, "attributes": 1.0} and request.steps == 2
    assert request.seeds == [41, 42, 43]
    page.get_by_role("tab", name="Attributes").click()
    page.get_by_role("button", name="Open all").click()
    page.get_by_role("button", name="Surprise me").click()
    page.get_by_role("button", name="Open all").wait_for()  # is there once something is set
    page.locator(".preset", has_text="Noir").click()
    assert "5 set" in page.locator("#traits-summary").inner_text()


def test_routing_cells_are_switched_and_compared(
    visit: Open, asked: list[DrawRequest], session: ModelSession
) -> None:
    page = visit()
    before = draw(page)
    page.get_by_role("button", name="Compare from here").click()
    page.get_by_role("tab", name="Routing").click()
    page.get_by_label("Draw again at each switch").check()
    page.locator("button.column[data-source=mask]").click()
    page.wait_for_selector(".faces.pairs button.face >> nth=15")
    trained = session.pipeline.unet.trained_routing
    off = asked[1].routing.gates()[:, trained.sources.index("mask")]
    assert not off.any() and asked[0].routing == trained and asked[0].seeds == asked[1].seeds
    both = pictures(page)
    assert both[0::2] == before and both[1::2] != before
    assert "routing cells off" in page.locator("#compare-bar").inner_text()
    page.get_by_role("button", name="End comparison").click()
    assert pictures(page) == both[1::2]


def record_of(source: str) -> dict[str, Any]:
    """What a face on the page says of its making."""
    with Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))) as picture:
        found: dict[str, Any] = json.loads(picture.text["facecond"])
    return found


def test_a_reference_is_taken_compared_and_restored(
    visit: Open,
    reader: ModelSession,
    reader_address: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    drawn = reader.draw

    def strange(request: DrawRequest, job: Any) -> Any:
        return {**drawn(request, job), "strange": [name for name, _ in request.references][:1]}

    monkeypatch.setattr(reader, "draw", strange)
    Image.fromarray(render(0, 0, 96).image).save(tmp_path / "me.png")
    page = visit(at=reader_address)
    page.get_by_label("Faces", exact=True).first.fill("2")
    page.get_by_role("tab", name="Reference").click()
    plain = draw(page)
    page.locator("input[type=file][data-kind=reference]").set_input_files(tmp_path / "me.png")
    page.get_by_role("button", name="geometry", exact=True).click()
    page.get_by_label("Weight").fill("0.8")
    taken = draw(page)
    assert taken != plain and "references" not in record_of(plain[0])
    told = [(one["file"], one["take"], one["weight"]) for one in record_of(taken[0])["references"]]
    assert told == [("me.png", "appearance", 0.8), ("me.png", "geometry", 0.8)]
    page.locator("#alert").get_by_text("“me.png” is unlike any face").wait_for()
    assert page.locator(".picture-card .strange").count() == 1
    page.get_by_role("button", name="Compare from here").click()
    page.get_by_role("button", name="Remove").click()
    both = draw(page)
    assert both[0::2] == taken and both[1::2] == plain
    assert "nothing of me.png" in page.locator("#compare-bar").inner_text()
    page.get_by_role("button", name="End comparison").click()
    page.locator(".past-card").nth(1).click()
    assert page.get_by_label("Weight").input_value() == "0.8" and pictures(page) == taken
    page.locator("button.face").first.click()
    page.get_by_text("appearance and geometry of me.png, weight 0.8").wait_for()
    page.get_by_role("button", name="Close").click()


def test_a_reference_is_dropped(
    visit: Open, reader_address: str, shoot: Callable[[Any, str], None]
) -> None:
    page = visit(at=reader_address)
    page.get_by_role("tab", name="Reference").click()
    for number in range(2):
        photo = file_text(encode_png(render(0, number, 96).image))
        files = page.evaluate_handle(
            """text => {
                const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
                const dropped = new DataTransfer();
                dropped.items.add(new File([bytes], "face.png", { type: "image/png" }));
                return dropped;
            }""",
            photo,
        )
        page.locator("#reference").dispatch_event("drop", {"dataTransfer": files})
        page.locator(".picture-card").nth(number).wait_for()
    assert page.locator("#reference .drop").is_hidden()
    pressed = page.locator(".take[aria-pressed=true]").all_inner_texts()
    assert pressed == ["appearance", "geometry"]  # the second gives what the first does not
    shoot(page, "1280_light_reference")


def test_a_photo_is_edited_compared_and_restored(
    visit: Open,
    session: ModelSession,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    shoot: Callable[[Any, str], None],
) -> None:
    asked: list[EditRequest] = []
    edit = session.edit

    def noted(request: EditRequest, job: Any) -> Any:
        asked.append(request)
        return edit(request, job)

    monkeypatch.setattr(session, "edit", noted)
    face = render(0, 0, 96)
    Image.fromarray(face.image).save(tmp_path / "me.png")
    page = visit()
    before = draw(page)
    page.get_by_role("button", name="Edit a photo").click()
    page.get_by_role("button", name="Edit the photo").click()
    page.locator("#alert").get_by_text("There is no photo to edit yet").wait_for()
    page.locator("input[type=file][data-kind=edit]").set_input_files(tmp_path / "me.png")
    page.get_by_label("Photo me.png").wait_for()
    assert page.locator("[data-region=hair]").is_disabled()  # the layout is not known
    brush(page, "hair", 8)
    line(page, (4, 4), (28, 4))
    page.get_by_role("button", name="The painting is its layout").click()
    page.locator("[data-region=hair]").click()
    page.get_by_label("Strength").fill("0.5")
    page.get_by_role("tab", name="Attributes").click()
    page.get_by_role("button", name="blond hair", exact=True).click()
    seen = draw(page)
    (request,) = asked
    assert np.array_equal(request.photo, central_square(face.image, SIZE))
    assert request.layout is not None and request.new_layout is None
    assert (request.layout == HAIR).any() and (request.layout == ANYTHING).any()
    assert (request.region, request.strength) == (("hair",), 0.5)
    assert request.change[ATTRIBUTES.index("Blond_Hair")] == 1
    photo, edited = seen
    away = request.layout != HAIR
    pixels = [np.array(Image.open(io.BytesIO(base64.b64decode(one.split(",")[1]))))
              for one in (photo, edited)]  # fmt: skip
    assert np.array_equal(pixels[0], request.photo) and (pixels[0] != pixels[1]).any()
    changed = (pixels[0] != pixels[1]).any(-1)
    assert changed[request.layout == HAIR].mean() > changed[away].mean()
    assert record_of(edited)["photo"] == "me.png" and record_of(edited)["region"] == ["hair"]
    shoot(page, "1280_light_edit")
    page.locator("button.face").first.click()
    page.get_by_text("There and back").wait_for()
    page.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Compare from here").click()
    page.get_by_role("tab", name="Photo").click()
    page.get_by_label("Strength").fill("1")
    both = draw(page)
    assert both[0] == edited != both[1]
    assert "strength 1" in page.locator("#compare-bar").inner_text()
    page.get_by_role("button", name="Draw", exact=True).click()
    assert pictures(page) == before
    page.locator(".past-card").nth(1).click()  # the first edit: its mode and its settings come back
    assert pictures(page) == [photo, edited]
    assert page.get_by_label("Strength").input_value() == "0.5"


def test_a_model_that_reads_references_edits_too(visit: Open, reader_address: str) -> None:
    page = visit(at=reader_address)
    page.get_by_role("tab", name="Reference").click()
    page.get_by_role("button", name="Edit a photo").click()
    tabs = page.get_by_role("tab").all_inner_texts()
    assert tabs == ["Attributes", "Photo", "Guidance", "Routing"]
    content = encode_png(render(0, 1, 96).image)
    photo = {"name": "me.png", "mimeType": "image/png", "buffer": content}
    page.locator("input[type=file][data-kind=edit]").set_input_files(photo)
    page.get_by_label("Photo me.png").wait_for()
    page.get_by_role("tab", name="Attributes").click()
    page.get_by_role("button", name="blond hair", exact=True).click()
    before, after = draw(page)
    assert before != after and "reference" not in record_of(after)["guidance"]


def test_each_mode_keeps_its_canvas_and_its_result(
    visit: Open, asked: list[DrawRequest], held: threading.Event
) -> None:
    page = visit()
    clear(page)
    brush(page, "hat", 4)
    line(page, (6, 6), (20, 6))
    page.locator("#draw").click()
    page.get_by_role("button", name="Edit a photo").click()
    held.set()
    page.wait_for_selector("#draw:visible")  # the drawing ends while the photo is looked at
    assert pictures(page) == [] and page.get_by_text("Change a face, keep the rest").is_visible()
    brush(page, "skin", 4)
    line(page, (6, 20), (20, 20))
    page.get_by_role("button", name="Draw", exact=True).click()
    assert len(pictures(page)) == 8
    draw(page)
    first, second = asked
    assert np.array_equal(first.mask, second.mask)
    assert set(np.unique(first.mask)) == {HAT, ANYTHING}


def test_history_brings_everything_back(visit: Open, asked: list[DrawRequest]) -> None:
    page = visit()
    page.locator(".preset", has_text="Professor").click()
    first = draw(page)
    clear(page)
    page.get_by_role("button", name="Open all").click()
    page.get_by_role("button", name="Another seed").click()
    assert draw(page) != first
    page.locator(".past-card").nth(1).click()
    assert pictures(page) == first
    assert draw(page) == first
    assert np.array_equal(asked[0].mask, asked[2].mask) and asked[0].seeds == asked[2].seeds
    assert np.array_equal(asked[0].attributes, asked[2].attributes)


def test_files_come_and_go(visit: Open, asked: list[DrawRequest], tmp_path: Path) -> None:
    page = visit()
    mask = random_mask(3, SIZE)
    (tmp_path / "mine.png").write_bytes(mask_png(mask))
    page.locator("input[type=file][data-kind=mask]").set_input_files(tmp_path / "mine.png")
    page.wait_for_selector(".stage:not(.busy)")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save the mask as PNG").click()
    saved.value.save_as(tmp_path / "saved.png")
    assert np.array_equal(read_mask(tmp_path / "saved.png"), mask)
    draw(page)
    assert np.array_equal(asked[0].mask, mask)
    page.locator("button.face").first.click()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download PNG").click()
    saved.value.save_as(tmp_path / "face.png")
    with Image.open(tmp_path / "face.png") as picture:
        assert picture.size == (SIZE, SIZE) and '"seed": ' in picture.text["facecond"]
    page.get_by_role("button", name="Close").click()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download all").click()
    saved.value.save_as(tmp_path / "faces.zip")
    shutil.unpack_archive(tmp_path / "faces.zip", tmp_path / "faces")
    assert len(list((tmp_path / "faces").glob("face_*.png"))) == 8


def test_cancel(visit: Open, asked: list[DrawRequest], held: threading.Event) -> None:
    page = visit()
    page.get_by_role("button", name="Draw faces").click()
    page.get_by_text("Reading the conditions").wait_for()
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_text("Cancelling").wait_for()
    held.set()
    page.get_by_text("Cancelled").wait_for()
    assert "Paint a layout" in page.locator("#faces").inner_text()
    assert len(draw(page)) == 8 and len(asked) == 2


@pytest.mark.parametrize("way", ["button", "Escape"])
def test_cancel_ends_what_waits_for_the_end_of_the_drawing_too(
    visit: Open, asked: list[DrawRequest], held: threading.Event, way: str
) -> None:
    page = visit()
    page.get_by_role("button", name="Draw faces").click()
    page.get_by_text("Reading the conditions").wait_for()
    page.keyboard.press("Control+Enter")  # draw again, from the beginning
    page.get_by_text("Cancelling").wait_for()
    cancel = page.get_by_role("button", name="Cancel", exact=True)
    cancel.click() if way == "button" else page.keyboard.press(way)
    held.set()
    page.wait_for_selector("#draw:visible")
    assert page.locator("#status-words").inner_text() == "Cancelled"
    assert pictures(page) == [] and len(asked) == 1


def sketches(page: Any, count: int) -> None:
    """Wait for previews of so many faces that are still being made."""
    shown = "#faces.making .face img:not([hidden])[src^='data:image/jpeg']"
    page.wait_for_selector(f"{shown} >> nth={count - 1}", state="attached")
    wide = page.locator(shown).first.evaluate("async one => (await one.decode(), one.naturalWidth)")
    assert wide == SIZE and page.locator(shown).count() == count


def test_faces_are_seen_in_the_making(
    visit: Open, session: ModelSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, predict, calls = threading.Event(), session.pipeline._predict, []

    def waits_in_the_last_step(*given: Any) -> Any:
        calls.append(1)
        assert len(calls) < 4 or gate.wait(60)
        return predict(*given)

    monkeypatch.setattr(sessions, "PREVIEW_SECONDS", 0)
    monkeypatch.setattr(session.pipeline, "_predict", waits_in_the_last_step)
    page = visit()
    page.locator("#draw").click()
    sketches(page, 8)
    page.get_by_text("Step 3 of 4").wait_for()
    gate.set()
    page.wait_for_selector("#result-actions:visible")
    assert all(one.startswith("data:image/png") for one in pictures(page))


def test_an_edit_is_seen_in_the_making(visit: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, edit_face, seen = threading.Event(), sessions.edit_face, []

    def waits_after_a_draft(*given: Any, after_draft: Any, after_step: Any, **named: Any) -> Any:
        def drafted(picture: Any) -> None:
            seen.append(after_draft(picture))

        def stepped() -> None:
            after_step()
            assert not seen or gate.wait(60)

        return edit_face(*given, after_draft=drafted, after_step=stepped, **named)

    monkeypatch.setattr(sessions, "PREVIEW_SECONDS", 0)
    monkeypatch.setattr(sessions, "edit_face", waits_after_a_draft)
    page = visit()
    page.get_by_role("button", name="Edit a photo").click()
    content = encode_png(render(0, 1, 96).image)
    photo = {"name": "me.png", "mimeType": "image/png", "buffer": content}
    page.locator("input[type=file][data-kind=edit]").set_input_files(photo)
    page.get_by_label("Photo me.png").wait_for()
    page.get_by_role("tab", name="Attributes").click()
    page.get_by_role("button", name="blond hair", exact=True).click()
    page.locator("#draw").click()
    sketches(page, 1)
    gate.set()
    page.wait_for_selector("#result-actions:visible")
    assert len(pictures(page)) == 2


def test_a_photo_is_read_to_a_layout(
    visit: Open, session: ModelSession, asked: list[DrawRequest], judges: tuple[str, str]
) -> None:
    reader = PhotoReader(judges[0])
    face = render(0, 2, 96).image
    photo = {"name": "me.png", "mimeType": "image/png", "buffer": encode_png(face)}
    expected = reader.mask(Path("me.png"), photo["buffer"], SIZE)
    blocks = app.build(session, Starts(session.image_size, reader))
    try:
        page = visit(at=app.start(blocks, "127.0.0.1", None))
        page.locator("input[type=file][data-kind=photo]").set_input_files(photo)
        page.wait_for_selector(".stage:not(.busy)")
        draw(page)
        assert np.array_equal(asked[-1].mask, expected)
        page.get_by_role("button", name="Edit a photo").click()
        page.locator("input[type=file][data-kind=edit]").set_input_files(photo)
        page.get_by_label("Photo me.png").wait_for()
        assert page.locator("[data-region=hair]").is_enabled()
        page.get_by_role("button", name="Draw", exact=True).click()
    finally:
        blocks.close(verbose=False)


def test_the_password_is_asked_for(visit: Open, session: ModelSession) -> None:
    blocks = app.build(session, Starts(session.image_size))
    try:
        at = app.start(blocks, "127.0.0.1", None, "open sesame")
        page = visit(errors=True, at=at, ready="input[type=password]")
        page.get_by_text("Any name, and the studio's password.").wait_for()
        for word, then in (("sesame", "text=Incorrect"), ("open sesame", "[data-ready]")):
            assert page.locator(".facecond-studio").count() == 0
            page.locator("input[type=text]").fill("me")
            page.locator("input[type=password]").fill(word)
            page.get_by_role("button", name="Login").click()
            page.wait_for_selector(then)
        assert len(draw(page)) == 8
    finally:
        blocks.close(verbose=False)


@pytest.mark.parametrize(("size", "least"), [(WIDE, 440), (PHONE, 300)], ids=["wide", "phone"])
def test_a_face_that_is_enlarged_is_large(visit: Open, size: tuple[int, int], least: float) -> None:
    page = visit(size)
    draw(page)
    face = page.locator("button.face").first
    tile = face.bounding_box()["width"]
    face.click()
    large = page.locator(".enlarged-pictures img").bounding_box()
    assert large["width"] == large["height"] > max(1.5 * tile, least)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_two_people_at_once(visit: Open, asked: list[DrawRequest], held: threading.Event) -> None:
    first, second = visit(), visit()
    for page, name in ((first, "hair"), (second, "hat")):
        clear(page)
        page.get_by_role("radio", name=name, exact=True).click()
        page.keyboard.press("f")
        page.mouse.click(*point(page, 5, 5))
    first.get_by_role("button", name="Draw faces").click()
    first.get_by_text("Reading the conditions").wait_for()
    second.get_by_role("button", name="Draw faces").click()
    second.get_by_text("You are 1st in line").wait_for()
    held.set()
    for page in (first, second):
        page.wait_for_selector("#result-actions:visible")
    assert [set(request.mask.ravel().tolist()) for request in asked] == [{HAIR}, {HAT}]
    assert pictures(first) != pictures(second)


def test_faults_are_said_in_words(
    visit: Open, session: ModelSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = visit(errors=True)
    alert = page.locator("#alert")
    Image.new("RGB", (40, 40)).save(tmp_path / "photo.png")
    page.locator("input[type=file][data-kind=mask]").set_input_files(tmp_path / "photo.png")
    alert.get_by_text("The mask is a PNG of mode RGB").wait_for()
    (tmp_path / "large.png").write_bytes(b"0" * (13 * 2**20))
    page.locator("input[type=file][data-kind=mask]").set_input_files(tmp_path / "large.png")
    alert.get_by_text("The file is too large").wait_for()
    page.locator("summary[aria-label=Open]").click()
    page.get_by_text("Photo …").click()
    alert.get_by_text("Photos need a face parser").wait_for()

    def broken(*_: Any) -> None:
        raise RuntimeError("private")

    with monkeypatch.context() as patched:
        patched.setattr(session, "draw", broken)
        page.get_by_role("button", name="Draw faces").click()
        alert.get_by_text("Something went wrong on our side").wait_for()
    page.route("**/call/draw", lambda route: route.abort())
    page.get_by_role("button", name="Draw faces").click()
    alert.get_by_text("The studio does not answer").wait_for()
    page.unroute("**/call/draw")
    assert len(draw(page)) == 8 and alert.is_hidden()
    assert "private" not in page.content() and "Traceback" not in page.content()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_screenshots(visit: Open, shoot: Callable[[Any, str], None], dark: bool) -> None:
    shade = "dark" if dark else "light"
    page = visit(WIDE, dark)
    shoot(page, f"1280_{shade}_first")
    page.locator(".preset", has_text="Professor").click()
    draw(page)
    shoot(page, f"1280_{shade}_faces")
    page.locator("button.face").first.click()
    shoot(page, f"1280_{shade}_large")
    narrow = visit(PHONE, dark)
    for view in ("layout", "attributes", "guidance", "routing"):
        narrow.locator(f"#bottom [data-shows={view}]").tap()
        shoot(narrow, f"390_{shade}_{view}")
    draw(narrow)
    shoot(narrow, f"390_{shade}_faces")
    narrow.get_by_role("button", name="Edit a photo").tap()
    content = encode_png(render(0, 1, 96).image)
    photo = {"name": "me.png", "mimeType": "image/png", "buffer": content}
    narrow.locator("input[type=file][data-kind=edit]").set_input_files(photo)
    narrow.get_by_label("Photo me.png").wait_for()
    shoot(narrow, f"390_{shade}_photo")
