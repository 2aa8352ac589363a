"""A pattern of the user's own: fields in braces, blanks for white space, the rest a regular expression."""

import math

import pytest
import trainers as made

import scalefit as sf

STEPS = [0, 25, 50, 75, 100]
RATE = {step: 2e-3 * (1 - step / 200) for step in STEPS}
LOSS = {step: 4.5 - step / 50 for step in STEPS}


def log(form, *more):
    return [*more, *(form.format(s=step, v=LOSS[step], r=RATE[step]) for step in STEPS), "done"]


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ("upd {s} goal {v:.4f} pace {r:.6e}", "upd {step} goal {loss} pace {lr}"),
        ("t=1s  it[{s:05d}]   obj -> {v:.4f}  (eta {r:.6f})", r"it\[{step}\] obj -> {loss} \(eta {learning_rate}\)"),
        ("|{s}|x|{v:.4f}|y|{r:.6f}|", r"\|{global_step}\|.*?\|{train/loss}\|.*\|{lr}\|$"),
        ("lr {r:.6e} | UPD {s}/100 | GOAL {v:.4f};", "lr {lr} .* upd {step}/{max_steps} .* goal {loss}"),
    ],
)
def test_fields_are_read_wherever_they_stand(tmp_path, form, pattern):
    path = made.written(tmp_path, "a.log", log(form, "upd nothing", "loading"))
    runs = sf.read_runs(path, pattern=pattern)
    assert runs.names == ["a"]
    assert runs.curves["step"].tolist() == STEPS
    assert runs.curves["loss"].tolist() == pytest.approx([LOSS[s] for s in STEPS])
    assert runs.curves["lr"].tolist() == pytest.approx([RATE[s] for s in STEPS])
    assert any("3 other lines" in note.text for note in runs.notes)


def test_other_fields_are_columns_and_words_may_stand_in_them(tmp_path):
    path = made.written(tmp_path, "a.log", log("run w{s} upd {s} goal {v:.2f} note=fine,ok speed 1.5K tok"))
    runs = sf.read_runs(path, pattern="upd {step} goal {loss} note={note},.*speed {speed} tok")
    assert set(runs.curves["note"]) == {"fine"}
    assert set(runs.curves["speed"]) == {1500.0}
    lines = [f"model {name} upd {s} goal {LOSS[s]}" for name in ("x-1", "y-2") for s in STEPS]
    runs = sf.read_runs(made.written(tmp_path, "b.log", lines), pattern="model {run} upd {step} goal {loss}")
    assert runs.names == ["x-1", "y-2"]


def test_a_part_may_be_missing_and_a_nan_is_a_nan(tmp_path):
    lines = ["upd 1 goal 3.5", "upd 2 goal nan dev 3.6", "upd 3 goal 3.3"]
    runs = sf.read_runs(made.written(tmp_path, "a.log", lines), pattern=r"upd {step} goal {loss}( dev {val_loss})?$")
    assert runs.curves["val_loss"].dropna().tolist() == [3.6]
    assert [math.isnan(value) for value in runs.curves["loss"]] == [False, True, False]


def test_lines_of_one_step_are_a_row_and_trainings_that_begin_again_are_runs(tmp_path):
    lines = [f"upd {s} goal {LOSS[s]}" for _ in range(2) for s in STEPS]
    runs = sf.read_runs(made.written(tmp_path, "a.log", lines), pattern="upd {step} goal {loss}")
    assert runs.names == ["a, training 1", "a, training 2"]


def test_a_folder_is_read_by_the_pattern(tmp_path):
    for name in ("x/a.log", "x/y/b.out", "c.err"):
        made.written(tmp_path, name, log("upd {s} goal {v:.3f}"))
    made.written(tmp_path, "d.csv", ["step,loss", "1,2"])
    runs = sf.read_runs(tmp_path, pattern="upd {step} goal {loss}")
    assert sorted(runs.names) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("step {step} of", ("no line fits", "a line says 'upd 0 goal 4.5'")),
        ("upd step", ("no field in braces", "step {step} .* loss {loss}")),
        ("upd ({step}", ("no regular expression",)),
        ("upd {step} {step}", ("{step} stands twice",)),
        ("upd {step} goal {weight_decay}x", ("no line fits",)),
    ],
)
def test_a_pattern_that_fits_nothing_is_refused_in_one_line(tmp_path, pattern, words):
    path = made.written(tmp_path, "a.log", ["upd 0 goal 4.5", "upd 1 goal 4"])
    with pytest.raises(sf.InputError) as said:
        sf.read_runs(path, pattern=pattern)
    assert all(word in str(said.value) for word in words)
    assert "\n" not in str(said.value)
