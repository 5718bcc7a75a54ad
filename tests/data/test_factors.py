import pytest

from facecond.data.factors import Factors, factor_rows, read_factors
from facecond.data.writing import csv_text
from facecond.errors import UserError


def test_what_is_written_is_read_back(tmp_path):
    factors = {"a": Factors("1", "2"), "c": Factors("1", "3")}
    path = tmp_path / "factors.csv"
    path.write_text(csv_text(factor_rows(["a", "b", "c"], factors)))
    assert path.read_text() == "name,geometry,appearance\na,1,2\nc,1,3\n"
    assert read_factors(path) == factors


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name,identity\na,1\n", 1),
        ("name,geometry,appearance\na,1\n", 2),
        ("name,geometry,appearance\na,1,2\nb,,2\n", 3),
    ],
)
def test_rows_of_another_form_are_refused(tmp_path, text, line):
    path = tmp_path / "factors.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=f"line {line}.*is no row of it"):
        read_factors(path)
