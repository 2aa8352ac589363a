"""What is written never takes the place of an input or of another kind of file; an answer outlives its figure."""

from __future__ import annotations

import json
import os
import stat

import commands
import pytest

FIT = "scalefit fit runs.csv --law chinchilla --draws 0"
DRAWN = "scalefit lr-transfer sweep.csv --draws 20"


@pytest.fixture
def there(tmp_path, monkeypatch):
    folder = commands.plant(tmp_path)
    monkeypatch.chdir(folder)
    rows = [f"{width},{2.0**k},{3 + 0.1 * (k + 9) ** 2}" for width in (64, 128) for k in range(-12, -5)]
    (folder / "sweep.csv").write_text("\n".join(["d_model,lr,loss", *rows, ""]))
    rows = [f"{step},{0.1},{3 - step / 1e3},{1 + step / 1e3}" for step in range(1, 201)]
    (folder / "log.csv").write_text("\n".join(["step,lr,loss,grad_norm", *rows, ""]))
    return folder


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


REFUSED = [
    ("scalefit fit {0} --law chinchilla --save {0}", "runs.csv", "one of the inputs"),
    ("scalefit schedule log.csv --out {0}", "log.csv", "one of the inputs"),
    ("scalefit schedule {0} --out log.csv", "log.csv", "one of the inputs"),
    ("scalefit plot {0} -o {0}", "fit.json", "png"),
    ("scalefit fit runs.csv --law chinchilla --schedule {0} --save {0}", "fit.json", "one of the inputs"),
    ("scalefit fit runs.csv --law {0}:Mine --save {0}", "mine.py", "one of the inputs"),
    ("scalefit fit runs.csv --law chinchilla --save {0}", "notes.json", "not a saved fit"),
    ("scalefit fit runs.csv --law chinchilla --save {0}", "log.csv", "not a saved fit"),
    ("scalefit fit runs.csv --law chinchilla --plot {0}", "data.png", "not a figure"),
    ("scalefit fit runs.csv --law chinchilla --plot {0}", "data.svg", "not a figure"),
    ("scalefit backtest runs.csv --law chinchilla --plot {0}", "data.pdf", "not a figure"),
    ("scalefit schedule log.csv --out {0}", "fit.json", "not a table"),
    ("scalefit schedule log.csv --out {0}", "sweep.csv", "not a table"),
    ("scalefit fit runs.csv --law chinchilla --save {0} --plot {0}", "both.png", "two outputs"),
    ("scalefit fit runs.csv --law chinchilla --save {0}", "pipe", "not a regular file"),
]


@pytest.mark.parametrize(("command", "name", "why"), REFUSED, ids=[f"{c} {n}" for c, n, _ in REFUSED])
@pytest.mark.parametrize("link", ["itself", "symbolic", "hard"])
def test_an_input_or_another_kind_of_file_is_never_overwritten(command, name, why, link, there):
    (there / "notes.json").write_text('{"schema_version": 1, "mine": 3}')
    (there / "mine.py").write_text("law = 1\n")
    for data in ("data.png", "data.svg", "data.pdf"):
        (there / data).write_text("step,loss\n0,3\n")
    os.mkfifo(there / "pipe")
    place = there / name
    if link != "itself" and place.exists():
        place = there / f"link{place.suffix}"
        place.symlink_to(name) if link == "symbolic" else place.hardlink_to(there / name)
    before = files(there)
    result = commands.run(command.format(name if place.name == name or "{0}:Mine" in command else place.name))
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert why in result.stderr and len(result.stderr.splitlines()) == 1
    assert files(there) == before
    assert stat.S_ISFIFO((there / "pipe").stat().st_mode)


def test_a_link_stays_a_link_and_a_mode_is_kept(there):
    (there / "real").mkdir()
    (there / "fit.json").rename(there / "real" / "fit.json")
    (there / "real" / "fit.json").chmod(0o600)
    (there / "fit.json").symlink_to("real/fit.json")
    before = (there / "real" / "fit.json").read_bytes()
    assert commands.run(f"{FIT} --fix E=1.7 --save fit.json").exit_code in (0, 1)
    assert (there / "fit.json").is_symlink()
    assert (there / "real" / "fit.json").read_bytes() != before
    assert stat.S_IMODE((there / "real" / "fit.json").stat().st_mode) == 0o600


def test_what_was_written_before_may_be_written_again(there):
    (there / "empty.csv").touch()
    for command in (f"{FIT} --save a.json --plot a.svg", "scalefit schedule log.csv --out empty.csv --plot b.pdf"):
        first, second = commands.run(command), commands.run(command)
        assert first.exit_code == second.exit_code != 2, first.output + second.output
        assert first.stdout == second.stdout and "wrote" in first.stdout


def answer_of(text):
    """An answer without the lines on figures and on how the logs were read, which come after it."""
    lines = text.splitlines()
    kept = [line for line in lines if not line.startswith(("read: ", "wrote ", "! the figure"))]
    return "\n".join(kept).rstrip()


def broken(*_, **__):
    raise ValueError("planted")


def test_an_answer_outlives_a_figure_that_cannot_be_drawn(there, monkeypatch):
    plain = commands.run(DRAWN)
    assert plain.exit_code == 0

    def refused(*_, **__):
        from scalefit.errors import InputError

        raise InputError("nothing to draw", where="here")

    monkeypatch.setattr("scalefit.plots.plot_lr_sensitivity", refused)
    result = commands.run(f"{DRAWN} --plot-sensitivity s.png --plot t.svg")
    assert "\nwrote t.svg\n! the figure s.png was not drawn: here: nothing to draw\n" in result.stdout
    assert answer_of(result.stdout) == answer_of(plain.stdout)
    assert result.exit_code == 1 and (there / "t.svg").exists() and not (there / "s.png").exists()
    as_json = json.loads(commands.run(f"{DRAWN} --plot-sensitivity s.png --json").stdout)
    assert list(as_json["figures_not_drawn"]) == ["s.png"] and as_json["optima"]
    monkeypatch.setattr("scalefit.plots.plot_lr_sensitivity", broken)
    result = commands.run(f"{DRAWN} --plot-sensitivity s.png")
    assert answer_of(result.stdout) == answer_of(plain.stdout) and isinstance(result.exception, ValueError)


def test_where_there_is_no_sensitivity_the_rest_is_answered(there):
    shifts = {64: 0.0, 128: 0.4}  # no learning rate that sizes share, and no initial loss
    rows = [f"{n},{2.0 ** (k + x)},{3 + 0.1 * (k + x + 9) ** 2}" for n, x in shifts.items() for k in range(-12, -5)]
    (there / "apart.csv").write_text("\n".join(["d_model,lr,loss", *rows, ""]))
    plain = commands.run("scalefit lr-transfer apart.csv --draws 20")
    result = commands.run("scalefit lr-transfer apart.csv --draws 20 --plot-sensitivity s.png")
    assert plain.stdout and answer_of(result.stdout) == answer_of(plain.stdout), result.output
    assert "! the figure s.png was not drawn" in result.stdout


def test_any_name_can_be_drawn(there):
    names = ("cost $N_{$", "$\\frac$", "a_b^c", "100 %", "{x}", "\\")
    lines = (there / "log.csv").read_text().splitlines()
    text = "\n".join([f"run,{lines[0]}", *(f'"{run}",{line}' for run in names for line in lines[1:]), ""])
    (there / "named.csv").write_text(text)
    result = commands.run("scalefit fit named.csv --law 'E + A*step**-0.5' --points all --draws 0 --plot n.png")
    assert "not drawn" not in result.output and result.exit_code in (0, 1), result.output
    for run in names:
        result = commands.run(f"scalefit schedule named.csv --run '{run}' --plot n.svg")
        assert "not drawn" not in result.output and result.exit_code in (0, 1), result.output
