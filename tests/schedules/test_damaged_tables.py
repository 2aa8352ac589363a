"""Tables of schedules that are damaged are refused in one line."""

import gzip

import pytest

import scalefit as sf
from scalefit.schedules import parse_schedule

TABLE = "step,lr\n" + "".join(f"{step},{0.1 / (1 + step)}\n" for step in range(200))


@pytest.mark.parametrize("digits", ["9" * 400, "9" * 5000, str(10**400), "1e400"])
@pytest.mark.parametrize("column", ["step", "lr"])
def test_a_number_beyond_all_floats_is_named(digits, column, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    row = f"{digits},0.1" if column == "step" else f"300,{digits}"
    (tmp_path / "lr.csv").write_text(f"{TABLE}{row}\n")
    with pytest.raises(sf.InputError, match=f"lr.csv, row 202, column {column}"):
        parse_schedule("lr.csv")


@pytest.mark.parametrize("at", [4, 12, 40, -6])
def test_a_packed_table_that_is_damaged_is_refused(at, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole = bytearray(gzip.compress(TABLE.encode()))
    (tmp_path / "cut.csv.gz").write_bytes(whole[:at])
    whole[at] ^= 0xFF
    whole[13] ^= 0xFF
    (tmp_path / "bad.csv.gz").write_bytes(whole)
    for name in ("cut.csv.gz", "bad.csv.gz"):
        with pytest.raises(sf.InputError, match=name):
            parse_schedule(name)


def test_a_schedule_that_ends_with_its_warmup_has_no_step_to_predict(tmp_path):
    runs = sf.load("schedules").where("d_model == 96")
    fit = sf.fit(runs, "annealing:decay=0.99", starts=1)
    with pytest.raises(sf.InputError, match="ends with its warmup, at step 100"):
        fit.predict(schedule="constant:peak_lr=0.01,steps=100,warmup=100")
