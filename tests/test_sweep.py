"""Sweeps: the plan, the table that survives every stop; runs here, on a dask scheduler, and into an object store."""

import csv
import io
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import psutil
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from wattshift import cli, draw, parameters, sweep
from wattshift.refusal import Refusal
from wattshift.report import run, warm, workers
from wattshift.report import sweep as running
from wattshift.sweep import Answer, Folder, Result, Table

CELL = """
power_price: UsdPerKwh = 0.05  # what the site pays
hours: Count = 24  # of the day
mood: Literal["fine", "raise", "refuse", "die", "slow", "lucky"] = "fine"
day: Day = "2024-04-20"
rigs: tuple[str, ...] = ("S19", "S21")
""".strip()
PRICES, HOURS = (0.03, 0.05, 0.07), (12, 24)


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A notebook that costs nothing to run: 1 kW at a power price for some hours, in several moods."""
    cells = [
        new_markdown_cell("# Tiny\n\nWhat does one kilowatt cost?"),
        new_code_cell(
            "import os, time\nfrom pathlib import Path\nfrom typing import Literal\n"
            "from IPython.display import display\nfrom wattshift import parameters\n"
            "from wattshift.refusal import Refusal\nfrom wattshift.units import Count, Day, UsdPerKwh"
        ),
        new_code_cell(CELL, metadata={"tags": ["parameters"]}),
        new_code_cell("given = parameters.check(globals())"),
        new_code_cell(
            "if mood == 'raise' or (mood == 'lucky' and not Path('luck').exists()):\n"
            "    raise ValueError('no price fits,\\nnot one')\n"
            "if mood == 'refuse':\n    raise Refusal('There are no days in this window.')\n"
            "if mood == 'die':\n    os._exit(3)\n"
            "if mood == 'slow':\n    Path(f'began-{hours}').touch()\n    time.sleep(0.7)\n"
            "def record(name, value, unit, headline=False):\n"
            "    body = {'name': name, 'value': value, 'unit': unit, 'label': 'What a day costs'}\n"
            "    body |= {'headline': headline}\n"
            "    display({'application/vnd.wattshift.result+json': body}, raw=True)"
        ),
        new_code_cell("record('cost', power_price * hours, 'USD', True)\nrecord('note', f'at {power_price}', '')"),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = tmp_path_factory.mktemp("tiny") / "tiny.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata=kernel), path)
    return path


@pytest.fixture(scope="module")
def contract(notebook: Path) -> parameters.Contract:
    return parameters.read(notebook)


@pytest.fixture(scope="module", autouse=True)
def one_server() -> Iterator[None]:
    """One server of warm kernels for the sweeps of this file, as one sweep of many runs would have."""
    with warm.running():
        yield


def rows_of(place: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((place / "sweep.csv").read_text())))


def swept(*words: str | Path) -> int:
    return cli.run(["sweep", *map(str, words)])


# ---------------------------------------------------------------- the plan


def test_a_grid_is_every_combination_in_order_and_each_set_once(contract):
    points = sweep.plan(contract, {"hours": ["12", "24"], "power_price": ["0.03", "0.05", "0.050"]}, {"mood": "slow"})
    assert [dict(point.texts) for point in points] == [
        {"power_price": price, "hours": hours, "mood": "slow"} for hours in ("12", "24") for price in ("0.03", "0.05")
    ]
    assert next(dict(point.given) for point in points) == {"power_price": 0.03, "hours": 12, "mood": "slow"}


def test_an_id_is_of_the_values_however_they_were_asked_for(contract):
    def ids(grid: Mapping[str, list[str]], fixed: Mapping[str, str] | None = None) -> list[str]:
        return [point.id for point in sweep.plan(contract, grid, fixed)]

    one = ids({"hours": ["12"], "power_price": ["0.05"]})
    assert one == ids({"hours": ["12"]}) == ids({"hours": ["١٢"], "mood": ["fine"]}, {"power_price": "5e-2"})
    assert one != ids({"hours": ["13"]})
    assert len(one[0]) == 12
    assert one[0].isalpha()
    body = '{"day": "2024-04-20", "hours": 12, "mood": "fine", "power_price": 0.05, "rigs": ["S19", "S21"]}'
    hexa = subprocess.run(["sha256sum"], input=body, capture_output=True, text=True, check=True).stdout[:12]
    assert one[0] == "".join("abcdefghijklmnop"[int(digit, 16)] for digit in hexa)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--grid", "power_prise=0.03"], "the nearest is power_price"),
        (["--grid", "power_price"], "is no axis of a grid"),
        (["--grid", "power_price=0.03,,0.05"], "is no axis of a grid"),
        (["--grid", "hours=1", "-p", "hours=2"], "is given both as -p and as --grid"),
        (["--grid", "hours=1", "-p", "hour=2"], "hour is not a parameter"),
        (["--grid", "hours=1", "--sample", "0"], "--sample cannot be 0"),
        (["--grid", "hours=1", "--jobs", "0"], "--jobs cannot be 0"),
        (["--grid", "hours=1", "--report", "2"], "there is no row '2'"),
        (["--grid", "hours=1", "--out", "gs://bucket"], "--out cannot be 'gs://bucket'"),
        (["--grid", "hours=1", "--scheduler", "nowhere"], "--scheduler cannot be 'nowhere'"),
        ([], "give at least one --grid"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(notebook, tmp_path, capsys, monkeypatch, words, said):
    monkeypatch.setattr(running, "Local", None)
    monkeypatch.chdir(tmp_path)
    place = [] if "--out" in words else ["--out", "made"]
    assert swept(notebook, *words, *place) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.rglob("sweep.csv"))


def test_a_set_that_the_contract_refuses_stays_in_the_plan_with_its_reason(contract):
    fine, bad = sweep.plan(contract, {"power_price": ["0.03", "0,05"[:1] + "x"]})
    assert not fine.reason
    assert bad.reason.startswith("power_price cannot be '0x'")
    assert not bad.given
    assert bad.texts["power_price"] == "0x"


def test_a_grid_too_large_is_refused_unless_it_is_sampled(contract):
    grid = {"hours": [str(n) for n in range(1, 1_001)], "power_price": [f"0.{n:03d}" for n in range(1, 102)]}
    with pytest.raises(Refusal, match="101,000 sets, more than 100,000"):
        sweep.plan(contract, grid)
    assert len(sweep.plan(contract, grid, sample=7)) == 7


@pytest.mark.parametrize("levels", [(5,), (2, 2), (3, 4), (2, 3, 4), (6, 6), (2, 2, 2, 2), (7, 1, 3), (40, 50)])
def test_a_latin_sample_has_every_level_equally_often_and_no_place_twice(levels):
    total = math.prod(levels)
    for size in sorted({1, 2, 3, total // 4 + 1, total // 2, total // 2 + 1, total - 1} - {0}):
        if size > total:
            continue
        for seed in range(3):
            places = sweep.latin(levels, size, seed)
            assert len(set(places)) == len(places) == size
            for axis, count in enumerate(levels):
                times = Counter(place[axis] for place in places)
                assert set(times) <= set(range(count))
                assert max(times.values()) - min(times[level] for level in range(count)) <= 1
    assert sweep.latin(levels, total + 5, 0) == sweep.latin(levels, total, 1)  # the whole grid
    assert sweep.latin((9, 9), 9, 4) == sweep.latin((9, 9), 9, 4) != sweep.latin((9, 9), 9, 5)


def test_cells_are_read_back_as_the_values_they_were_written_from(contract):
    values = {"power_price": 0.1 + 0.2, "hours": 3, "mood": "slow", "day": "2020-05-11", "rigs": ("a b", "c")}
    texts = {name: sweep.text_of(value) for name, value in contract.validate(values).items()}
    assert contract.validate(texts) == values


# ---------------------------------------------------------------- the table


def table_in(place: Path, contract: parameters.Contract, made_from: str = "this") -> Table:
    return Table(Folder(place), contract, "tiny", made_from)


def done(point: sweep.Point, **results: Any) -> Answer:
    return Answer(point.id, "done", "", 1.25, tuple(Result(name, value, "USD") for name, value in results.items()))


@pytest.fixture
def points(contract: parameters.Contract) -> list[sweep.Point]:
    return sweep.plan(contract, {"hours": ["6", "12", "24"]})


def test_a_table_is_tidy_for_pandas_and_its_card_says_the_units(tmp_path, contract, points):
    table = table_in(tmp_path, contract)
    table.unfinished(points)
    table.add([done(points[2], cost=1.2)])
    table.add([done(points[0], cost=-0.3, hours=6.5)])
    table.add([Answer(points[1].id, "failed", 'no,\n "price" fits', 2)])
    table.close()
    frame = pd.read_csv(tmp_path / "sweep.csv")
    head = ["row", "id", "status", "hours", "cost", "result_hours", "seconds", "reason"]
    assert list(frame) == head
    assert frame.row.tolist() == [1, 2, 3]
    assert frame.hours.tolist() == [6, 12, 24]
    assert frame.cost.fillna(9).tolist() == [-0.3, 9, 1.2]
    assert frame.result_hours.fillna(9).tolist() == [6.5, 9, 9]
    assert frame.reason[1] == 'no, "price" fits'
    card = yaml.safe_load((tmp_path / "sweep.yml").read_text())
    assert [column["name"] for column in card["columns"]] == head
    assert {column["name"]: column["unit"] for column in card["columns"]}["cost"] == "USD"
    assert card["held"] == {"power_price": "0.05", "mood": "fine", "day": "2024-04-20", "rigs": "[S19, S21]"}


def test_a_line_cut_off_anywhere_costs_only_its_own_run(tmp_path, contract, points):
    table = table_in(tmp_path, contract)
    table.unfinished(points)
    for point, cost in zip(points, (0.3, 0.6, 1.2), strict=True):
        table.add([done(point, cost=cost)])
    whole = (tmp_path / "sweep.csv").read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for cut in [*range(last, len(whole)), None]:
        torn = whole[:cut] if cut is not None else whole[:last] + b"\0" * 20 + b"\n"  # a block that never got there
        (tmp_path / "sweep.csv").write_bytes(torn)
        again = table_in(tmp_path, contract)
        left = again.unfinished(points)
        assert [point.id for point in left] == [points[2].id], cut
        assert (tmp_path / "sweep.csv").read_bytes() == whole[:last]
        again.add([done(points[2], cost=1.2)])
        assert (tmp_path / "sweep.csv").read_bytes() == whole
    assert table_in(tmp_path, contract).unfinished(points) == []


def test_each_row_is_on_the_disk_before_the_next(tmp_path, contract, points, monkeypatch):
    table = table_in(tmp_path, contract)
    table.unfinished(points)
    table.add([done(points[0], cost=0.3)])
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_size))
    table.add([done(points[1], cost=0.6)])
    assert synced == [(tmp_path / "sweep.csv").stat().st_size]


def test_a_full_disk_leaves_the_rows_before(tmp_path, contract, points, monkeypatch):
    table = table_in(tmp_path, contract)
    table.unfinished(points)
    table.add([done(points[0], cost=0.3)])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for answer in (done(points[1], cost=0.6), done(points[1], cost=0.6, more=1)):  # appended; written anew
            with pytest.raises(OSError, match="No space"):
                table.add([answer])
            assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert len(table_in(tmp_path, contract).unfinished(points)) == 2


def test_a_column_has_one_unit(tmp_path, contract, points):
    table = table_in(tmp_path, contract)
    table.unfinished(points)
    euro = Answer(points[1].id, "done", "", 1, (Result("cost", 0.5, "EUR"),))
    table.add([done(points[0], cost=0.3), euro])
    row = rows_of(tmp_path)[1]
    assert (row["status"], row["cost"]) == ("failed", "")
    assert "it records cost in 'EUR', other rows in 'USD'" in row["reason"]


def test_a_table_grows_by_other_sweeps_and_keeps_its_numbers(tmp_path, contract, points):
    table = table_in(tmp_path, contract)
    table.unfinished(points)
    table.add([done(points[0], cost=0.3)])
    more = sweep.plan(contract, {"power_price": ["0.05", "0.07"], "hours": ["12", "6"]})
    table = table_in(tmp_path, contract)
    assert [point.id for point in table.unfinished(more)] == [point.id for point in more if point.id != points[0].id]
    table.add([done(point, cost=0) for point in more if point.id != points[0].id])
    table.close()
    found = [(row["row"], row["power_price"], row["hours"]) for row in rows_of(tmp_path)]
    assert found == [("1", "0.05", "6"), ("2", "0.05", "12"), ("3", "0.07", "12"), ("4", "0.07", "6")]
    assert table.parameters_of(table.pick(["4"])[0]) == {"power_price": 0.07, "hours": 6}


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("sweep.csv", "", "", "the notebook, the library or the data have changed since"),
        ("sweep.yml", "notebook: tiny", "notebook: other", "it is of other"),
        ("sweep.yml", "columns:", "collumns:", "has no card"),
        ("sweep.yml", "- {", "- {{", "has no card"),
        ("sweep.csv", "row,id,", "raw,id,", "line 1: the columns are not those of its card"),
        ("sweep.csv", ",done,6,", ",dome,6,", "line 2: this is no row"),
        ("sweep.csv", ",done,12,", ",done,12,,", "line 3: this is no row"),
    ],
)
def test_a_table_that_is_not_of_this_sweep_is_refused_and_left_alone(tmp_path, contract, points, file, old, new, said):
    table = table_in(tmp_path, contract)
    table.unfinished(points)
    table.add([done(point, cost=0) for point in points])
    harmed = (tmp_path / file).read_text().replace(old, new, 1) if old else (tmp_path / file).read_text()
    assert bool(old) == (harmed != (tmp_path / file).read_text())
    (tmp_path / file).write_text(harmed)
    before = (tmp_path / "sweep.csv").read_bytes()
    with pytest.raises(Refusal, match=said):
        table_in(tmp_path, contract, "that" if "changed" in said else "this")
    assert (tmp_path / "sweep.csv").read_bytes() == before


def test_one_folder_takes_one_sweep_at_a_time(notebook, tmp_path, capsys):
    with Folder(tmp_path).alone():
        assert swept(notebook, "--grid", "hours=1", "--out", tmp_path) == 2
    assert "Another sweep is writing to" in capsys.readouterr().err


# ---------------------------------------------------------------- runs on this machine


swept_once = pytest.mark.xdist_group("swept")  # the tests that share the next fixture, in one process


@pytest.fixture(scope="module")
def place(notebook: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep in which runs are done, fail, die and are refused."""
    folder = tmp_path_factory.mktemp("swept")
    grid = ["--grid", "power_price=0.03,0.05,0.07", "--grid", "hours=12,24"]
    assert swept(notebook, *grid, "--out", folder, "--jobs", "2") == 0
    moods = ["--grid", "mood=raise,refuse,die,lucky", "--grid", "hours=24,0"]
    assert swept(notebook, *moods, "--out", folder, "--jobs", "2") == 1
    return folder


@swept_once
def test_a_sweep_has_a_row_for_each_run_with_what_the_notebook_recorded(place):
    rows = [row for row in rows_of(place) if row["status"] == "done"]
    found = {(float(row["power_price"]), int(row["hours"])): float(row["cost"]) for row in rows}
    assert found == pytest.approx({(price, hours): price * hours for price in PRICES for hours in HOURS})
    assert [row["row"] for row in rows] == list("123456")
    assert rows[0]["note"] == "at 0.03"
    assert all(float(row["seconds"]) > 0 for row in rows)


@swept_once
def test_what_fails_or_is_refused_is_a_row_with_its_reason(place):
    rows = {(row["mood"], row["hours"]): row for row in rows_of(place) if row["status"] != "done"}
    assert {key: row["status"] for key, row in rows.items()} == {
        ("raise", "24"): "failed",
        ("refuse", "24"): "refused",
        ("die", "24"): "failed",
        ("lucky", "24"): "failed",
        **{(mood, "0"): "refused" for mood in ("raise", "refuse", "die", "lucky")},
    }
    assert rows["raise", "24"]["reason"] == 'tiny, cell 5 ("Tiny") failed: ValueError: no price fits, not one'
    assert rows["refuse", "24"]["reason"] == "There are no days in this window."
    assert "the kernel died" in rows["die", "24"]["reason"]
    assert rows["raise", "0"]["reason"].startswith("hours cannot be '0'")
    assert not rows["raise", "0"]["seconds"]
    assert not any(row["cost"] for row in rows.values())


@swept_once
def test_a_second_sweep_runs_nothing_that_is_there_and_failed_runs_only_on_request(
    place, notebook, capsys, monkeypatch
):
    before = rows_of(place)
    words = ["--grid", "mood=lucky,fine", "--out", place]
    with monkeypatch.context() as patch:
        patch.setattr(running, "Local", None)
        assert swept(notebook, *words) == 1
    assert "2 of 2 runs are in" in capsys.readouterr().err
    assert rows_of(place) == before
    (notebook.parent / "luck").touch()
    assert swept(notebook, *words, "--retry") == 0
    after = rows_of(place)
    assert [row["id"] for row in after] == [row["id"] for row in before]  # the same place, not another row
    changed = [row for row, old in zip(after, before, strict=True) if row != old]
    assert [(row["mood"], row["status"]) for row in changed] == [("lucky", "done")]


@swept_once
def test_a_changed_notebook_does_not_mix_with_older_rows(place, notebook, tmp_path, capsys):
    other = nbformat.read(notebook, as_version=4)
    other.cells[-1].source += "\nrecord('more', 1, '')"
    changed = tmp_path / "tiny.ipynb"
    nbformat.write(other, changed)
    assert swept(changed, "--grid", "hours=24", "--out", place) == 2
    assert "the notebook, the library or the data have changed since" in capsys.readouterr().err


@swept_once
def test_chosen_rows_become_reports(place, notebook, capsys):
    wanted = next(row for row in rows_of(place) if (row["power_price"], row["hours"]) == ("0.07", "12"))
    assert swept(notebook, "--out", place, "--report", f"{wanted['row']},{wanted['id']}") == 0
    stem = f"tiny.row{wanted['row']}"
    assert (place / f"{stem}.pdf").read_bytes().startswith(b"%PDF")
    made = json.loads((place / f"{stem}.results.json").read_text())
    assert (made["parameters"]["power_price"], made["parameters"]["hours"]) == (0.07, 12)
    assert {r["name"]: r["value"] for r in made["results"]}["cost"] == pytest.approx(0.84) == float(wanted["cost"])
    capsys.readouterr()
    bad = next(row["row"] for row in rows_of(place) if row["status"] == "failed")
    assert swept(notebook, "--out", place, "--report", bad) == 2
    assert f"row {bad} was failed" in capsys.readouterr().err


def test_the_figure_shows_what_each_swept_parameter_moves():
    points = pd.DataFrame({"price": [0.03, 0.05, 0.03, 0.05], "halving": [3, 3, 4, 4]})
    numbers = pd.DataFrame({"cost": [1.0, 2, 1, 2], "cut": [5.0, 5, 6, 6], "count": [7.0, 7, 8, 8]})
    named = {"cost": "Cost", "cut": "Cut", "count": ""}
    results = {name: sweep.Column(name, "result", "USD", words, name == "cost") for name, words in named.items()}
    assert running._worth_drawing(["cost", "cut", "count"], results, points, numbers) == ["cost", "cut"]
    assert running._worth_drawing(["cost"], results, points[["price"]][:2], numbers[:2]) == ["cost"]
    drawn = draw.swept(
        points, numbers[["cost", "cut"]], {"price": "price", "halving": "halving"}, {"cost": "Cost", "cut": "Cut"}
    )
    cost, cut = drawn.axes[:2]
    assert [text.get_text() for text in cost.texts][:1] == ["any halving"]
    assert len(cost.get_lines()) == 1
    assert {"halving 3", "halving 4"} <= {text.get_text() for text in cut.texts}
    draw.plt.close("all")


@swept_once
def test_the_figure_draws_what_the_table_holds(place):
    page = (place / "sweep.svg").read_text()
    assert page.startswith("<?xml")
    assert "Sweep of tiny" in page
    assert "<text" not in page
    frame = pd.DataFrame({"price": [0.03, 0.05, 0.03, 0.05], "hours": [12, 12, 24, 24], "rig": list("abab")})
    results = pd.DataFrame({"cost": [0.36, 0.6, 0.72, None], "gain": [1.0, 2, 3, 4]})
    titles = {"cost": "cost, USD", "gain": "gain, USD"}
    lines = draw.swept(frame, results, {"price": "price, USD/kWh", "hours": "hours"}, titles)
    first = lines.axes[0]
    assert first.get_title(loc="left") == "cost, USD"
    assert first.get_xlabel() == "price, USD/kWh"
    assert [list(line.get_ydata()) for line in first.get_lines()] == [[0.36, 0.6], [0.72]]
    assert {"hours 12", "hours 24"} <= {text.get_text() for text in first.texts}
    means = draw.swept(frame, results, {"price": "price", "hours": "hours", "rig": "rig"}, titles)
    assert len(means.axes) == 6
    middle = means.axes[3].get_lines()[1]  # the gain along the price
    assert sorted(middle.get_ydata()) == [2.0, 3.0]  # (1 + 3) / 2 and (2 + 4) / 2
    draw.plt.close("all")


def test_a_worker_that_dies_costs_its_run_and_no_other(notebook):
    tasks = tasks_of(notebook, {"mood": ["slow"], "hours": ["101", "102", "103"]})
    pool = running.Local(2)
    try:
        futures = [pool.submit(task) for task in tasks]
        until(lambda: all((notebook.parent / f"began-{hours}").exists() for hours in (101, 102)))
        pool._workers[0].process.kill()
        found = [future.result(timeout=60) for future in futures]
    finally:
        pool.stop()
    assert sorted(answer.status for answer in found) == ["done", "done", "failed"]
    why = ["the process that made it ended (killed by signal 9)"]
    assert [answer.reason for answer in found if answer.reason] == why


def tasks_of(notebook: Path, grid: Mapping[str, list[str]]) -> list[running.Task]:
    import zlib

    text = notebook.read_text()
    points = sweep.plan(parameters.read(notebook), grid)
    word = running.made_from(text)
    packed = zlib.compress(text.encode())
    return [running.Task(p.id, p.given, "tiny", str(notebook.parent), packed, word) for p in points]


def until(true: Callable[[], Any], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def test_stops_leave_a_whole_table_that_goes_on(notebook, tmp_path):
    """Stopped by hand, taken up again and killed, then taken up again to the end."""
    words = [str(notebook), "--grid", "hours=1,2,3,4,5,6", "-p", "mood=slow", "--out", str(tmp_path), "--jobs", "2"]
    start = [sys.executable, "-c", "from wattshift.cli import main; main()", "sweep", *words]
    before: list[dict[str, str]] = []
    for how in (signal.SIGINT, signal.SIGKILL):
        with subprocess.Popen(start, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            said = process.stderr.readline()
            while said and not said.startswith("1/"):
                said = process.stderr.readline()
            assert " done in " in said
            family = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(how)
            said = process.stderr.read()
            assert process.wait(60) == (-how if how == signal.SIGKILL else 130)
        assert "Traceback" not in said
        assert ("the same command goes on from there" in said) == (how != signal.SIGKILL)
        _, alive = psutil.wait_procs(family, timeout=60)
        assert not alive
        now = rows_of(tmp_path)
        assert len(before) < len(now) < 6
        assert {row["status"] for row in now} == {"done"}
        assert all(row in now for row in before)  # those made before are not made again
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".making")] == []
        before = now
    assert cli.run(["sweep", *words]) == 0
    after = rows_of(tmp_path)
    assert [row["row"] for row in after] == list("123456")
    assert all(row in after for row in before)


def test_a_worker_that_is_to_stop_takes_no_job_and_starts_no_process():
    dead, living = workers.Worker(), workers.Worker()
    dead.process.kill()
    assert dead.end() == "killed by signal 9"
    for worker in (dead, living):
        worker.ask_to_stop()
        with pytest.raises(OSError, match="it is to stop"):
            worker.send(None)
        worker.stop()
    assert dead.process is None
    assert living.process.returncode == 0


# ---------------------------------------------------------------- runs on other machines


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A dask scheduler and two workers, processes of their own, on this machine's loopback."""
    card = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    environment = {name: value for name, value in os.environ.items() if name != warm.ADDRESS}
    environment["DASK_TEMPORARY_DIRECTORY"] = str(tmp_path)
    quiet: dict[str, Any] = {"env": environment, "cwd": tmp_path, "stderr": subprocess.DEVNULL}
    ours = ["--host", "127.0.0.1", "--no-dashboard"]
    started = [subprocess.Popen([*dask, "scheduler", "--port", "0", "--scheduler-file", str(card), *ours], **quiet)]
    worker = [*dask, "worker", "--scheduler-file", str(card), *ours, "--nthreads", "1", "--no-nanny"]
    worker += ["--death-timeout", "60"]
    started += [subprocess.Popen(worker, **quiet) for _ in range(2)]
    try:
        until(lambda: card.exists() and card.read_text().rstrip().endswith("}"), 60)  # written in two steps
        yield json.loads(card.read_text())["address"], started[1:]
    finally:
        family = [child for each in started if each.poll() is None for child in psutil.Process(each.pid).children(True)]
        for each in reversed(started):
            each.terminate()
        for each in started:
            try:
                each.wait(5)
            except subprocess.TimeoutExpired:
                each.kill()
                each.wait()
        psutil.wait_procs(family, timeout=5)


def test_a_scheduler_spreads_the_runs_and_a_killed_worker_loses_none(cluster, notebook, tmp_path, capsys, monkeypatch):
    address, workers = cluster
    hours = [str(n) for n in range(1, 9)]
    killed: list[str] = []

    def say(line: str) -> None:
        if line.startswith("2/8"):
            workers[0].kill()
            killed.append(line)
        assert "failed" not in line

    monkeypatch.setattr(running.sweep, "__defaults__", (say,))
    words = [notebook, "--grid", f"hours={','.join(hours)}", "-p", "mood=slow", "--out", tmp_path / "far"]
    assert swept(*words, "--scheduler", address) == 0
    assert killed
    rows = rows_of(tmp_path / "far")
    assert [(row["hours"], row["status"]) for row in rows] == [(hour, "done") for hour in hours]
    assert [float(row["cost"]) for row in rows] == pytest.approx([0.05 * int(hour) for hour in hours])

    # the last worker goes too: the sweep does not wait for ever, and keeps what it has
    workers[1].kill()
    monkeypatch.setattr(running, "PATIENCE", 1.0)
    monkeypatch.setattr(running.sweep, "__defaults__", (running._say,))
    words[2] = "hours=1,2,9"
    capsys.readouterr()
    assert swept(*words, "--scheduler", address) == 1
    assert "no worker for 1 s. 2 of 3 runs are in" in capsys.readouterr().err
    assert rows_of(tmp_path / "far") == rows


def test_a_worker_of_another_version_says_so(notebook):
    (task,) = tasks_of(notebook, {"hours": ["1"]})
    other = running.Task(**{**vars(task), "made_from": "elsewhere"})
    answer = running.make(other)
    assert answer.status == "failed"
    assert "another version" in answer.reason


def test_a_worker_without_the_folder_works_in_one_of_its_own(notebook, tmp_path):
    (task,) = tasks_of(notebook, {"hours": ["3"]})
    answer = running.make(running.Task(**{**vars(task), "folder": str(tmp_path / "not here"), "keep": True}))
    assert answer.status == "done"
    assert {result.name: result.value for result in answer.results}["cost"] == pytest.approx(0.15)
    assert str(tmp_path) not in answer.notebook
    assert nbformat.reads(answer.notebook, as_version=4)


# ---------------------------------------------------------------- into an object store


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket of a local S3 server, reached as any other would be, through the usual environment variables."""
    import boto3
    from moto.server import ThreadedMotoServer
    from papermill.s3 import S3

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(S3, "s3_session", (None, None, None))
    store = boto3.resource("s3").Bucket("sweeps")
    store.create()
    yield store
    server.stop()


def test_a_sweep_into_a_bucket_resumes_from_there(bucket, notebook, capsys):
    def text(name: str) -> str:
        return str(bucket.Object(name).get()["Body"].read().decode())

    words = [notebook, "--out", "s3://sweeps/one/", "--jobs", "2", "--notebooks"]
    assert swept(*words, "--grid", "hours=1,2") == 0
    rows = list(csv.DictReader(io.StringIO(text("one/sweep.csv"))))
    assert [(row["row"], float(row["cost"])) for row in rows] == [("1", 0.05), ("2", 0.1)]
    names = {"one/sweep.csv", "one/sweep.yml", "one/sweep.svg", *(f"one/runs/{row['id']}.ipynb" for row in rows)}
    assert {item.key for item in bucket.objects.all()} == names
    kept = nbformat.reads(text(f"one/runs/{rows[1]['id']}.ipynb"), as_version=4)
    (result, _) = running.recorded(kept)
    assert result == Result("cost", 0.1, "USD", "What a day costs", True)
    capsys.readouterr()
    assert swept(*words, "--grid", "hours=1,2,3") == 0
    assert "2 of 3 runs are in s3://sweeps/one/sweep.csv already" in capsys.readouterr().err
    again = list(csv.DictReader(io.StringIO(text("one/sweep.csv"))))
    assert again[:2] == rows
    assert len(again) == 3
    assert swept(notebook, "--grid", "hours=1", "--out", "s3://nowhere/one") == 2
    assert capsys.readouterr().err.startswith("--out cannot be 's3://nowhere/one' (The specified bucket does not")


def test_a_run_leaves_no_trace_in_the_process_that_made_it(notebook):
    (task,) = tasks_of(notebook, {"hours": ["5"]})
    before = (Path.cwd(), {k: v for k, v in os.environ.items() if k != warm.ADDRESS})
    assert running.make(task).status == "done"
    assert (Path.cwd(), {k: v for k, v in os.environ.items() if k != warm.ADDRESS}) == before
    assert run.quiet(0, 1, "") is None
