import numpy as np
import pytest

from facecond.data.table import find_table, read_table
from facecond.errors import UserError
from facecond.labels import ATTRIBUTES


def _table(folder, text, encoding="utf-8"):
    path = folder / "attributes.csv"
    path.write_bytes(text.encode(encoding))
    return path


def _read(folder, text, encoding="utf-8"):
    return read_table(_table(folder, text, encoding))


def test_values_by_name_with_gaps(tmp_path):
    table = _read(tmp_path, "name,Young,Bald\na,1,-1\nb.JPG,,1\n007,-1,\n")
    assert list(table.attributes) == ["a", "b", "007"] and table.columns == 2
    young, bald = ATTRIBUTES.index("Young"), ATTRIBUTES.index("Bald")
    assert [table.attributes[n][young] for n in table.attributes] == [1, -1, 0]
    assert [table.attributes[n][bald] for n in table.attributes] == [0, 1, -1]
    others = [i for i in range(40) if i not in (young, bald)]
    assert (table.attributes["a"][others] == -1).all() and table.attributes["a"].dtype == np.int8


def test_both_codings_and_written_numbers_mean_the_same(tmp_path):
    expected = _read(tmp_path, "name,Young,Bald\na,1,-1\nb,,1\n").attributes
    for text in (
        "image_id,Young,Bald\na,1,0\nb,,1\n",
        "filename,Young,Bald\na,1.0,0.0\nb,nan,1.0\n",
    ):
        got = _read(tmp_path, text).attributes
        assert all((got[name] == expected[name]).all() for name in expected)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_byte_order_mark_and_line_ends(tmp_path, encoding, end):
    text = f"name, Young ,Bald{end}a,1,-1{end}{end}b,-1,{end}"
    table = _read(tmp_path, text, encoding)
    assert list(table.lines.items()) == [("a", 2), ("b", 4)] and table.columns == 2


def test_identity_and_split_columns(tmp_path):
    text = "name,identity,split,partition,celebahq_id\na,7,train,0,1\nb,,val,0,\nc,7,2,0,\n"
    table = _read(tmp_path, text + "d,8,judges,1,4\n")
    assert table.splits == {"a": "generator", "b": "judges", "c": "test", "d": "judges"}
    assert table.identities == {"a": "7", "b": "", "c": "7", "d": "8"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty.*Begin with a header"),
        ("Young,Bald\n1,1\n", "no name column among: Young, Bald"),
        ("name,Smilling\na,1\n", "unknown column 'Smilling'.*'Smiling'"),
        ("name,identitty\na,1\n", "unknown column 'identitty'.*'identity'"),
        ("name,Young,Young\na,1,1\n", "'Young' appears twice"),
        ("name,Young,Bald\na,1,1\nb,1\n", "line 3: 2 fields where the header has 3"),
        ("name,Young\na,1\nb,yes\n", "line 3: Young is 'yes'"),
        ("name,Young\na,2\n", "line 2: Young is '2'"),
        ("name,Young\na,1\na.png,1\n", "line 3: name 'a' is also on line 2"),
        ("name,Young\n,1\n", "line 2: no name"),
        ("name,Young,Bald\na,1,-1\nb,1,1\nc,1,0\n", "line 4: .* 0 on line 4 and -1 on line 2"),
        ("name,split\na,generater\n", "line 2: unknown split 'generater'.*'generator'"),
    ],
)
def test_faults_name_the_place(tmp_path, text, message):
    with pytest.raises(UserError, match=message) as error:
        _read(tmp_path, text)
    assert "attributes.csv" in error.value.where


def test_not_text(tmp_path):
    with pytest.raises(UserError, match="not UTF-8"):
        _read(tmp_path, "name,Young\nJosé,1\n", "latin-1")


def test_which_file_is_the_table(tmp_path):
    assert find_table(tmp_path) is None
    (tmp_path / "pairs.csv").touch()
    assert find_table(tmp_path) == tmp_path / "pairs.csv"
    (tmp_path / "crops.csv").touch()
    with pytest.raises(UserError, match=r"2 \.csv files: crops\.csv, pairs\.csv"):
        find_table(tmp_path)
    (tmp_path / "attributes.csv").touch()
    assert find_table(tmp_path) == tmp_path / "attributes.csv"
