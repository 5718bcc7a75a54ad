import re

import numpy as np
import pytest

from facecond.data.doctor.tables import raw_name, read_annotations, read_csv
from facecond.labels import ATTRIBUTES, attribute_index


def _csv(path, *lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_csv(path)


def _kinds(reading):
    return [(finding.code, *finding.names) for finding in reading.findings]


def test_a_sound_table_with_everything(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(
        b"\xef\xbb\xbfname,Male,identity,split,celebahq_id\r\na.jpg,1,7,train,12\r\nb,-1,,test,\r\n"
    )
    reading = read_csv(path)
    assert reading.findings == [] and reading.has_splits
    male = attribute_index("Male")
    assert reading.attributes["a"][male] == 1 and reading.attributes["b"][male] == 0
    assert (np.delete(reading.attributes["a"], male) == -1).all()
    assert reading.identities == {"a": "7"} and reading.ids == {"a": "12"}
    assert reading.splits == {"a": "generator", "b": "test"}


def test_every_faulty_row_is_named_and_the_others_are_read(tmp_path):
    reading = _csv(
        tmp_path / "t.csv", "name,Male,Young", "a,1,yes", "b,1", ",1,1", "c,1,1", "c,-1,1", "d,1,"
    )
    assert _kinds(reading) == [
        ("bad-row", "a"), ("bad-row", "b"), ("bad-row",), ("duplicate-row", "c"),
    ]  # fmt: skip
    assert "line 2: Young is 'yes'" in reading.findings[0].message
    assert "lines 5 and 6" in reading.findings[3].message
    assert set(reading.attributes) == {"a", "c", "d"} and set(reading.lines) == {"a", "b", "c", "d"}


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("who,Male", "no column 'name'"),
        ("name,Male,Smilling", "unknown column 'Smilling'.*'Smiling'"),
        ("name,Male,Male", "column 'Male' 2 times"),
    ],
)
def test_faulty_headers(tmp_path, header, words):
    reading = _csv(tmp_path / "t.csv", header, ",".join(["a"] + ["1"] * header.count(",")))
    assert _kinds(reading) == [("bad-table",)]
    assert reading.findings[0].leave_out == ()
    assert re.search(words, reading.findings[0].message)


def test_text_that_is_not_utf8_is_read_as_far_as_it_goes(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"name,Male\na,1\n\xff,1\n")
    reading = read_csv(tmp_path / "t.csv")
    assert _kinds(reading) == [("bad-table",)] and reading.attributes["a"].max() == 1


def test_an_empty_file(tmp_path):
    (tmp_path / "t.csv").write_text("")
    assert _kinds(read_csv(tmp_path / "t.csv")) == [("bad-table",)]


def test_few_rows_of_another_coding_are_named_and_many_are_not(tmp_path):
    rows = [f"n{index:02d},-1,1" for index in range(20)]
    few = _csv(tmp_path / "t.csv", "name,Male,Young", *rows, "odd,0,1")
    assert _kinds(few) == [("mixed-coding", "odd")] and few.findings[0].leave_out == ()
    many = _csv(tmp_path / "t.csv", "name,Male,Young", *rows, *(f"o{i},0,1" for i in range(10)))
    assert _kinds(many) == [("mixed-coding",)]


def test_an_id_given_twice(tmp_path):
    reading = _csv(tmp_path / "t.csv", "name,celebahq_id", "a,5", "b,6", "c,5", "d,")
    assert _kinds(reading) == [("duplicate-id", "a", "c")]


def test_splits(tmp_path):
    reading = _csv(tmp_path / "t.csv", "name,split", "a,0", "b,trian", "c,")
    assert reading.splits == {"a": "generator"}
    assert _kinds(reading) == [("bad-split", "b"), ("bad-split", "c")]


def _annotations(path, count, rows, titles=ATTRIBUTES):
    path.write_text("\n".join([count, " ".join(titles), *rows]) + "\n")
    return read_annotations(path)


def test_annotations_in_any_column_order(tmp_path):
    titles = (*ATTRIBUTES[::-1],)
    row = "12.jpg  1 " + " ".join(["-1"] * 39)
    reading = _annotations(tmp_path / "a.txt", "1", [row], titles)
    assert reading.findings == [] and list(reading.attributes) == ["00012"]
    assert reading.attributes["00012"].tolist() == [0] * 39 + [1]


def test_faulty_annotations(tmp_path):
    good = " ".join(["1"] * 40)
    rows = [f"0.jpg {good}", f"1.jpg {good} 1", "2.jpg " + good[:-1] + "7", f"0.jpg {good}"]
    reading = _annotations(tmp_path / "a.txt", "9", rows)
    assert _kinds(reading) == [
        ("bad-row", "00001"), ("bad-row", "00002"), ("duplicate-row", "00000"), ("bad-table",),
    ]  # fmt: skip
    assert "announces 9 rows, has 4" in reading.findings[3].message
    wrong = _annotations(tmp_path / "a.txt", "1", rows[:1], ("Mael", *ATTRIBUTES[1:]))
    assert _kinds(wrong) == [("bad-table",)] and wrong.attributes == {}
    (tmp_path / "a.txt").write_text("")
    assert _kinds(read_annotations(tmp_path / "a.txt")) == [("bad-table",)]


def test_raw_names():
    assert raw_name("7") == "00007" and raw_name("29999") == "29999" and raw_name("a7") == "a7"
