"""`--ignore` takes any column but the loss: an answer, or one line."""

import commands
import pytest

COLUMNS = [
    "run",
    "d_model",
    "N",
    "lr",
    "peak_lr",
    "seed",
    "parametrization",
    "status",
    "diverged",
    "schedule",
    "loss",
    "batch",
]


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [
        f"r{w}{k},{w},{w * w},{2.0**k},{2.0**k},0,mup,finished,False,cosine,{3 + 0.1 * (k + 9) ** 2 + 10 / w},64"
        for w in (64, 128)
        for k in range(-12, -5)
    ]
    (tmp_path / "sweep.csv").write_text("\n".join([",".join(COLUMNS), *rows, ""]))


@pytest.mark.parametrize("column", [*COLUMNS, "_lr", "nothing", ""])
def test_each_column_is_ignored_or_refused_in_one_line(column, sweep):
    for command in (
        f"lr-transfer sweep.csv --draws 20 --ignore '{column}'",
        f"stability sweep.csv --at N=1e5 --lr 0.01 --ignore '{column}'",
    ):
        result = commands.run(f"scalefit {command}")
        assert not result.exception or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code in (0, 1) or len(result.stderr.splitlines()) == 1
    if column == "loss":
        assert "what is compared" in commands.run("scalefit lr-transfer sweep.csv --ignore loss").stderr
