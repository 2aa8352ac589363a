"""The same with files that the installed loggers write now, whatever their version."""

from __future__ import annotations

import importlib.util

import pytest
from conformance import FORMATS, STUDY, compared, reported_compared, trials_compared
from make_written import written_anew

pytestmark = pytest.mark.writers


@pytest.mark.parametrize("form", [*FORMATS, STUDY], ids=[form.writer for form in (*FORMATS, STUDY)])
def test_what_the_installed_logger_writes_is_read_exactly(tmp_path, form):
    missing = [name for name in form.needs if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (the extra `writers`)")
    folder = tmp_path / form.writer
    folder.mkdir()
    written_anew(form.writer, folder)
    checks = [trials_compared, reported_compared] if form is STUDY else [lambda source: compared(source, form)]
    for check in checks:
        written, read, wrong = check(folder / form.read)
        assert not wrong
        assert read == written > 0
