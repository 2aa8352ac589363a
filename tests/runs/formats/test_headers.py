"""A first line of numbers is a row and not a header, however the names were made one of a kind."""

from __future__ import annotations

import pytest

import scalefit as sf
from scalefit.errors import InputError


@pytest.mark.parametrize("line", ["| 10 | 2.5 |", "1,2.5", "10,2.5,2.5", "1e-3,-2.5", "0.5,0.5,0.5"])
def test_a_file_without_a_header_is_refused(tmp_path, line):
    path = tmp_path / "bare.csv"
    path.write_text(f"{line}\n{line}\n")
    with pytest.raises(InputError, match=r"bare\.csv"):
        sf.read_runs(path, need=())


@pytest.mark.parametrize("names", ["step.1,loss.2", "v1.0,w2.5", "N,0.5"])
def test_names_that_end_in_numbers_are_names(tmp_path, names):
    path = tmp_path / "named.csv"
    path.write_text(f"{names}\n10,3.5\n20,3.1\n")
    first, second = names.split(",")
    runs = sf.read_runs(path, rename={first: "N", second: "loss"})
    assert runs.table["loss"].tolist() == [3.5, 3.1]
