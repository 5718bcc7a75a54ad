import argparse

import numpy as np
import pytest
from PIL import Image

from facecond.commands import data_prepare, data_render
from facecond.data.prepared import PreparedFolder
from facecond.data.rendered import render
from facecond.errors import UserError


def _run(command, *words):
    parser = argparse.ArgumentParser()
    command.configure(parser)
    return command.run(parser.parse_args([str(word) for word in words]))


def test_rendered_folder_holds_the_faces_of_the_renderer(tmp_path, capsys):
    words = ("--count", 24, "--size", 64, "--seed", 5, "--test-fraction", 0.25)
    assert _run(data_render, "--out", tmp_path / "a", *words, "--workers", 2) == 0
    assert "24 faces of 64 px (generator 13, judges 5, test 6)" in capsys.readouterr().out
    folder = PreparedFolder.open(tmp_path / "a")
    for index in (0, 23):
        face = render(5, index, 64)
        np.testing.assert_array_equal(folder.image(index), face.image)
        np.testing.assert_array_equal(folder.mask(index), face.mask)
        np.testing.assert_array_equal(folder.attributes[index], face.attributes)
    _run(data_render, "--out", tmp_path / "b", *words, "--workers", 1)
    assert PreparedFolder.open(tmp_path / "b").data_hash == folder.data_hash
    _run(data_render, "--out", tmp_path / "c", *words, "--independent")
    assert PreparedFolder.open(tmp_path / "c").data_hash != folder.data_hash


def test_folder_layout_prepares_to_the_same_faces(tmp_path, capsys):
    words = ("--count", 5, "--size", 64)
    _run(data_render, "--out", tmp_path / "plain", *words, "--layout", "folder")
    assert {"-1", "1"} <= set((tmp_path / "plain" / "attributes.csv").read_text().split(","))
    _run(
        data_prepare, "folder", "--root", tmp_path / "plain", "--out", tmp_path / "a", "--size", 64
    )
    assert "5 faces of 64 px" in capsys.readouterr().out
    folder = PreparedFolder.open(tmp_path / "a")
    for index in range(5):
        face = render(0, index, 64)
        np.testing.assert_array_equal(folder.image(index), face.image)
        np.testing.assert_array_equal(folder.mask(index), face.mask)
        np.testing.assert_array_equal(folder.attributes[index], face.attributes)
    with pytest.raises(UserError, match="is in use"):
        _run(data_render, "--out", tmp_path / "plain", *words, "--layout", "folder")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--count", 0), "--count: 0 is out of range"),
        (("--size", 8), "--size: 8 is out of range.*64 to 1024"),
        (("--size", 2000), "--size: 2000 is out of range"),
        (("--workers", 0), "--workers: 0 is out of range"),
        (("--test-fraction", 1.2), "--test-fraction: 1.2 is not a share"),
        (("--layout", "foldr"), "unknown layout 'foldr'.*'folder'"),
    ],
)
def test_render_options_out_of_range(tmp_path, words, message):
    options = {"--out": tmp_path / "a", "--count": 4, "--size": 64} | {words[0]: words[1]}
    with pytest.raises(UserError, match=message):
        _run(data_render, *(word for pair in options.items() for word in pair))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "words", "message"),
    [
        ("foldr", (), "unknown kind 'foldr'.*'folder'"),
        ("folder", ("--size", 4), "--size: 4 is out of range"),
        ("folder", ("--workers", -1), "--workers: -1 is out of range"),
        ("folder", ("--labels", "celebamsk"), "--labels.*'celebamask'"),
        ("folder", ("--judges-fraction", 0.95), "sum to more than 1"),
    ],
)
def test_prepare_options_out_of_range(tmp_path, kind, words, message):
    (tmp_path / "raw" / "images").mkdir(parents=True)
    Image.new("RGB", (32, 32)).save(tmp_path / "raw" / "images" / "a.png")
    options = {"--root": tmp_path / "raw", "--out": tmp_path / "a", "--size": 64}
    options |= dict([words] if words else [])
    with pytest.raises(UserError, match=message):
        _run(data_prepare, kind, *(word for pair in options.items() for word in pair))
    assert not (tmp_path / "a").exists()
