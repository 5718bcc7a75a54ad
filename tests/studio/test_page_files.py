"""The page's files: all used, nothing from elsewhere, every element that scripts look for."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from facecond.labels import MASK_CLASSES
from facecond.studio.page_files import SCRIPTS, STYLES, page_script, page_text

PAGE = sorted(entry.name for entry in (files("facecond.studio") / "page").iterdir())


def test_every_file_is_used() -> None:
    assert sorted([*SCRIPTS, *STYLES, "studio.html", "outside.css"]) == PAGE


@pytest.mark.parametrize("name", PAGE)
def test_nothing_comes_from_elsewhere(name: str) -> None:
    text = page_text(name)
    assert not re.findall(r"https?://|@import|url\(\s*['\"]?//", text)
    assert len(text.splitlines()) <= 260


def test_scripts_look_for_elements_that_there_are() -> None:
    markup = page_text("studio.html")
    scripts = "\n".join(map(page_text, SCRIPTS))
    there = set(re.findall(r'id="([\w-]+)"', markup)) | set(re.findall(r'id: "([\w-]+)"', scripts))
    assert set(re.findall(r'byId\("([\w-]+)"\)', scripts)) <= there


def test_every_class_has_a_brush() -> None:
    order = re.search(r"const ORDER = \[(.*?)\]", page_text("palette.js"), re.DOTALL)
    assert order is not None
    assert sorted(re.findall(r'"(\w+)"', order[1])) == sorted(MASK_CLASSES)


def test_facts_cannot_break_out_of_the_script() -> None:
    script = page_script({"name": '"; alert(1); //', "path": "</script>"})
    assert 'const FACTS = {"name": "\\"; alert(1); //"' in script
