"""Files appear whole or not at all, and what existed is kept when writing stops half-way."""

import pytest

from scalefit.errors import InputError
from scalefit.writing import write_text, write_whole


def test_a_writer_that_stops_half_way_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    place = write_text(tmp_path / "table.csv", "old\n")

    def stops(to):
        to.write_text("ha")
        raise ValueError("stopped")

    with pytest.raises(ValueError, match="stopped"):
        write_whole(place, stops)
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]
    assert place.read_text() == "old\n"


def test_a_table_is_written_over_a_table_with_its_columns_and_over_no_other(tmp_path):
    place = write_text(tmp_path / "table.csv", "run,loss\n1,2\n")
    for header in ("run,loss,lr\n", "run\n"):
        assert write_whole(place, lambda to, text=header: to.write_text(text), "table", header) == place
    with pytest.raises(InputError, match="is not a table with these columns"):
        write_whole(place, lambda to: to.write_text("seed\n"), "table", "seed,loss\n")
    assert place.read_text() == "run\n"


def test_a_folder_that_does_not_exist_is_one_clear_line(tmp_path):
    with pytest.raises(InputError, match="cannot be written"):
        write_text(tmp_path / "none" / "table.csv", "new\n")
    assert not list(tmp_path.iterdir())
