"""Text that is not UTF-8: read right, with a note where it is Latin-1, or refused by the name of what it is not."""

from __future__ import annotations

import json

import pytest

import scalefit as sf

STEPS = list(range(10, 210, 10))
LOSSES = [2.0 + 6.0 / (step + 40) ** 0.5 for step in STEPS]
ROWS = list(zip(STEPS, LOSSES, strict=True))
NAME = "Läufer größer"
RECORDS = [{"run": NAME, "step": step, "loss": loss} for step, loss in ROWS]
TEXTS = {
    "a.csv": "run,step,loss\n" + "".join(f"{NAME},{step},{loss}\n" for step, loss in ROWS),
    "a.log": "Anfang für ±3 %\n" + "".join(f"step {step} | loss {loss}\n" for step, loss in ROWS),
    "a.jsonl": "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in RECORDS),
    "a.json": json.dumps(RECORDS, ensure_ascii=False),
    "a.md": "|run|step|loss|\n|---|---|---|\n" + "".join(f"|{NAME}|{step}|{loss}|\n" for step, loss in ROWS),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("code", ["latin-1", "cp1252", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_text_is_the_same_in_every_encoding(tmp_path, name, code):
    (tmp_path / name).write_bytes(TEXTS[name].encode(code))
    runs = sf.read_runs(tmp_path / name)
    assert runs.curves["step"].tolist() == STEPS and runs.curves["loss"].tolist() == LOSSES
    assert name == "a.log" or runs.names == [NAME]
    told = any("read as Latin-1 (Windows-1252)" in note.text for note in runs.notes)
    assert told is (code in ("latin-1", "cp1252"))


@pytest.mark.parametrize("text", ["modèle – 7", "“best”", "3 µs", "naïve…"])
def test_signs_that_windows_adds(tmp_path, text):
    (tmp_path / "a.csv").write_bytes(f"run,N,loss\n{text},1e6,3.5\nb,4e6,3 ± 0.1\n".encode("cp1252"))
    runs = sf.read_runs(tmp_path / "a.csv")
    assert runs.names == [text, "b"] and runs.table["loss"].tolist() == [3.5, 3.0]


@pytest.mark.parametrize(
    ("word", "code"), [("実験", "shift_jis"), ("名", "gbk"), ("实验", "gbk"), ("опыт", "cp1251"), ("실험", "euc_kr")]
)
@pytest.mark.parametrize("name", ["a.csv", "a.log"])
def test_another_alphabet_is_refused_and_not_garbled(tmp_path, word, code, name):
    rows = "".join(f"{word},{s},{loss}\n" if name == "a.csv" else f"{word} step {s} loss {loss}\n" for s, loss in ROWS)
    (tmp_path / name).write_bytes((f"{word},step,loss\n" * (name == "a.csv") + rows).encode(code))
    with pytest.raises(sf.InputError, match="the text is not UTF-8, nor UTF-16 or Latin-1") as error:
        sf.read_runs(tmp_path / name)
    assert "iconv" in error.value.todo
