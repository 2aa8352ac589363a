"""Public data sets from a server of our own: verified, kept, gone on with; and one clear line where it cannot be."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import commands
import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit import datasets
from scalefit.datasets import fetching, registry
from scalefit.datasets.fetching import fetch, public, values_of
from scalefit.errors import InputError

N, C = np.geomspace(1e6, 1e9, 40), np.geomspace(1e15, 1e20, 40)
TABLE = pd.DataFrame({"Model Size": N, "Training FLOP": C, "loss": 2 + 30 * N**-0.3})
RAW = TABLE.to_csv(index=False).encode()
OURS = pd.DataFrame({"N": N, "D": C / (6 * N), "C": C, "loss": TABLE["loss"]})


class Server(BaseHTTPRequestHandler):
    """Serves RAW; understands ranges; the first ``broken`` answers end halfway."""

    body, broken, asked, ranges = RAW, 0, [], True

    def do_GET(self):
        kind = type(self)
        start = int(self.headers.get("Range", "bytes=0-").split("=")[1].split("-")[0]) if kind.ranges else 0
        kind.asked.append(start)
        if start >= len(kind.body) and start:
            self.send_error(416)
            return
        rest = kind.body[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if kind.broken:
            kind.broken -= 1
            rest = rest[: len(rest) // 2]
        self.wfile.write(rest)

    def log_message(self, *_):
        pass


@contextmanager
def serving(**how):
    handler = type("Handler", (Server,), {"asked": [], **how})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/data.csv", handler
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def register(tmp_path, monkeypatch):
    """Registers a data set ``toy`` at an address; its tables are kept in a folder of the test."""
    monkeypatch.setenv(fetching.PLACE, str(tmp_path / "kept"))
    monkeypatch.setattr(fetching, "SECONDS", 5)

    def set_to(url, **more):
        one = replace(public()["chinchilla-epoch"], name="toy", url=url, values=values_of(OURS), **more)
        monkeypatch.setitem(public(), "toy", one)

    return set_to


def test_what_is_fetched_is_verified_in_our_columns_and_kept(register):
    with serving() as (url, server):
        register(url)
        result = commands.run("scalefit data fetch toy")
        assert result.exit_code == 0, result.output
        assert "40 runs, verified" in result.stdout
        fetch("toy")
        assert server.asked == [0], "what is kept is not asked for again"
    table = sf.load("toy").table
    assert table[["N", "D", "C", "loss"]].to_numpy() == pytest.approx(OURS.to_numpy())
    assert not list((fetching.kept() / "toy").glob("*.part"))


def test_a_download_that_breaks_off_goes_on_where_it_ended(register):
    with serving(broken=2) as (url, server):
        register(url)
        for _ in range(2):
            with pytest.raises(InputError, match="broke off after"):
                fetch("toy")
        assert fetch("toy").is_file()
        half = len(RAW) // 2
        assert server.asked == [0, half, half + (len(RAW) - half) // 2]


def test_a_server_without_ranges_begins_anew(register):
    with serving(broken=1, ranges=False) as (url, _):
        register(url)
        with pytest.raises(InputError, match="broke off after"):
            fetch("toy")
        assert len(pd.read_csv(fetch("toy"))) == 40


def test_a_remainder_longer_than_the_file_is_thrown_away(register):
    with serving() as (url, _):
        register(url)
        (fetching.kept() / "toy").mkdir(parents=True)
        (fetching.kept() / "toy" / "download.part").write_bytes(RAW + b"more")
        assert len(pd.read_csv(fetch("toy"))) == 40


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (RAW.replace(b"Model Size", b"Size"), "there is no column Model Size"),
        (RAW.replace(RAW.split(b"\n")[3], RAW.split(b"\n")[4]), "its 40 rows are not the numbers that were registered"),
        (b"", "cannot be read as a table"),
    ],
)
def test_other_data_is_refused_and_not_kept(register, body, said):
    with serving(body=body) as (url, _):
        register(url)
        with pytest.raises(InputError, match=said):
            fetch("toy")
    assert not public()["toy"].path.exists()


def test_offline_is_one_line_with_what_to_do(register, tmp_path):
    with serving() as (url, _):
        register(url)
    result = commands.run("scalefit data fetch toy")  # nobody serves there any more
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert "cannot be fetched" in line
    assert "scalefit data fetch toy --from FILE" in line
    (tmp_path / "mine.csv").write_bytes(RAW)
    assert commands.run(f"scalefit data fetch toy --from {tmp_path / 'mine.csv'}").exit_code == 0
    assert (tmp_path / "mine.csv").exists()


def test_a_kept_table_that_was_changed_is_fetched_again(register):
    with serving() as (url, server):
        register(url)
        place = fetch("toy")
        place.write_text(place.read_text().replace(",2.", ",3."))
        fetch("toy")
        assert server.asked == [0, 0]
    assert values_of(pd.read_csv(place)) == values_of(OURS)


def test_the_hash_does_not_depend_on_the_order_but_on_every_number():
    assert values_of(OURS) == values_of(OURS.iloc[::-1])
    assert values_of(OURS) != values_of(OURS.assign(loss=OURS["loss"] * 1.01))
    assert values_of(OURS) == values_of(OURS * (1 + 1e-9))


@pytest.mark.parametrize(
    ("name", "file", "columns"),
    [
        ("chinchilla-epoch", "chinchilla_epoch/chinchilla_245.csv", ("params", "tokens", "flops", "loss")),
        ("marin-isoflop", "marin_isoflop/isoflop_comma.csv", ("params", "tokens", "flops", "loss")),
    ],
)
def test_the_registered_numbers_are_those_of_an_independent_copy(name, file, columns):
    if not (commands.SHARED / file).exists():
        pytest.skip("the public data are not at hand")
    table = pd.read_csv(commands.SHARED / file)[list(columns)].set_axis(["N", "D", "C", "loss"], axis=1)
    assert values_of(table) == public()[name].values


def test_what_is_not_fetched_or_not_known_says_so(register):
    register("http://127.0.0.1:1/none.csv")
    with pytest.raises(InputError, match="scalefit data fetch toy"):
        sf.load("toy")
    with pytest.raises(InputError, match="there are"):
        fetch("no-such-set")


def test_the_list_names_what_is_bundled_and_what_is_public(register, monkeypatch):
    monkeypatch.setattr(registry, "names", lambda: ["zipf_markov"])
    monkeypatch.setattr(datasets, "names", registry.names)
    register("http://127.0.0.1:1/none.csv")
    result = commands.run("scalefit data list")
    assert result.exit_code == 0, result.exception
    assert result.stdout == commands.run("scalefit data").stdout
    assert next(line.split()[0] for line in result.stdout.splitlines() if line[2:3].strip()) == "zipf_markov"
    assert result.stdout.count("; not fetched") == len(public())
