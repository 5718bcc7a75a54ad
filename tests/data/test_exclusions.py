import numpy as np
import pytest

from facecond.data.exclusions import read_exclusions, write_exclusions
from facecond.data.prepared import SPLITS, PreparedFolder
from facecond.data.writing import PreparedWriter
from facecond.errors import UserError
from facecond.storage import hash_of


def _prepared(out, count=6):
    image, mask = np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16), np.uint8)
    with PreparedWriter(out, 16, "folder") as writer:
        for index in range(count):
            writer.add(f"n{index}", image, mask, np.zeros(40, np.int8), SPLITS[index % 3])
    return PreparedFolder.open(out)


def test_no_file_excludes_nothing(tmp_path):
    assert read_exclusions(tmp_path) == {}


def test_written_names_are_read_back_sorted_and_in_one_line_each(tmp_path):
    write_exclusions(tmp_path, {"b c": "two\nlines\tand a tab", "a": ""})
    assert list(read_exclusions(tmp_path).items()) == [("a", ""), ("b c", "two lines and a tab")]
    assert (tmp_path / "excluded.txt").read_text().startswith("# Faces that facecond leaves out")


def test_a_file_by_hand_is_understood_and_its_comments_survive(tmp_path):
    text = "\ufeff# mine\r\n\r\na\tblurred\r\nb\r\n# 00012\tnot excluded\r\n"
    (tmp_path / "excluded.txt").write_bytes(text.encode())
    assert read_exclusions(tmp_path) == {"a": "blurred", "b": ""}
    write_exclusions(tmp_path, {"c": "why"})
    lines = (tmp_path / "excluded.txt").read_text().splitlines()
    assert lines == ["# mine", "# 00012\tnot excluded", "c\twhy"]


@pytest.mark.parametrize("name", ["#1", "a\tb", "a\nb", " "])
def test_a_name_that_the_file_cannot_hold_is_refused(tmp_path, name):
    with pytest.raises(UserError, match="Rename the file"):
        write_exclusions(tmp_path, {name: "why"})
    assert not (tmp_path / "excluded.txt").exists()


def test_a_file_that_is_not_text_is_named(tmp_path):
    (tmp_path / "excluded.txt").write_bytes(b"a\xff\n")
    with pytest.raises(UserError, match=r"excluded\.txt: not UTF-8"):
        read_exclusions(tmp_path)


def test_a_prepared_folder_leaves_excluded_rows_out(tmp_path):
    before = _prepared(tmp_path / "x")
    assert before.indices("judges").tolist() == [1, 4]
    write_exclusions(tmp_path / "x", {"n4": "shifted", "n0": "twice"})
    after = PreparedFolder.open(tmp_path / "x")
    assert after.indices("judges").tolist() == [1]
    assert after.indices("generator").tolist() == [3]
    assert len(after) == 6 and after.names == before.names
    assert after.data_hash == hash_of([before.data_hash, ["n0", "n4"]])
    assert "2 excluded" in after.summary() and "excluded" not in before.summary()
    write_exclusions(tmp_path / "x", {})
    assert PreparedFolder.open(tmp_path / "x").data_hash == before.data_hash


def test_a_split_excluded_whole_is_an_error(tmp_path):
    _prepared(tmp_path / "x")
    write_exclusions(tmp_path / "x", {"n2": "", "n5": ""})
    with pytest.raises(UserError, match="'test' is empty"):
        PreparedFolder.open(tmp_path / "x").indices("test")
