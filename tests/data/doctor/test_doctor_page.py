import re

import numpy as np
import pytest
from PIL import Image

from facecond.data.doctor import page
from facecond.data.doctor.examine import examine


@pytest.fixture
def spoilt(plain):
    for index in (4, 5, 6):
        mask = np.zeros((64, 64), np.uint8)
        Image.fromarray(mask).save(plain / "masks" / f"{index:06d}.png")
    (plain / "images" / "000008.png").write_bytes(b"<script>no picture</script>")
    (plain / "excluded.txt").write_text("000030\t<b>bold</b>\n")
    return plain


def test_the_table_names_kinds_counts_and_faces(spoilt):
    report = examine(spoilt, workers=1)
    lines = page.text_table(report).splitlines()
    assert "48 faces (folder)" in lines[0]
    assert lines[2].split() == ["unreadable-image", "error", "1", "000008"]
    assert lines[3].split() == ["empty-mask", "error", "3", "000004,", "000005,", "000006"]
    assert lines[4] == "4 errors, 0 warnings; handled before: 1 name in excluded.txt."


def test_a_clean_folder_says_so(clean_plain):
    assert page.text_table(examine(clean_plain, workers=1)).endswith("nothing found.")


def test_the_page_needs_nothing_but_itself_and_shows_every_kind(spoilt, monkeypatch):
    monkeypatch.setattr(page, "SHOWN", 2)
    text = page.html_report(examine(spoilt, workers=1))
    assert text.startswith("<!DOCTYPE html>")
    for address in re.findall(r'(?:src|href)="([^"]*)"', text):
        assert address.startswith("data:image/png;base64,")
    assert "http" not in re.sub(r"data:image/png;base64,[^\"]*", "", text)
    # Image and overlay of two of the three masks, and the mask of the face without image.
    assert text.count("<img") == 5
    assert "1 more without pictures here" in text
    assert "Mask without a face (3)" in text and "Image corrupt or truncated (1)" in text
    assert "<b>bold" not in text and "&lt;b&gt;bold" in text and "<script>" not in text


def test_pairs_are_shown_side_by_side(plain):
    Image.open(plain / "images" / "000002.png").save(plain / "images" / "000003.png")
    text = page.html_report(examine(plain, workers=1))
    assert text.count('<span class="head">image</span>') >= 2 and "000002 000003" in text
