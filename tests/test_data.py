"""The tables are what their cards say, a damaged one is refused in plain words, and the traps of the cards are real."""

import datetime as dt
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wattshift import data
from wattshift.refusal import Refusal
from wattshift.units import BLOCKS_PER_DAY, HASHES_PER_DIFFICULTY, SECONDS_PER_BLOCK

TABLES = [
    "ai_deals",
    "asic_models",
    "btc_network_daily",
    "btc_price_tail_coinbase",
    "claims",
    "conflict_events_annual",
    "country_energy_annual",
    "country_governance",
    "dc_demand_history",
    "dc_demand_scenarios",
    "dc_iea_annex",
    "dc_inputs",
    "dc_published_rates",
    "difficulty_retargets",
    "electricity_price_points",
    "equity_quarter_end",
    "equity_returns_daily",
    "factors_daily",
    "fundamentals_quarterly",
    "gpr_monthly",
    "grid_reliability",
    "halvings",
    "hashrate_share_by_country",
    "industrial_power_prices",
    "internet_shutdowns",
    "kazakhstan_timeline",
    "mining_regulation_events",
    "past_forecasts",
    "plant_statements",
    "pri_claims_opic",
    "pri_contracts_opic",
    "site_candidates",
    "sources",
    "us_electricity_monthly",
    "us_power_gap",
    "us_state_electricity_annual",
    "wgi_world_summary",
]


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of data/ that a test may damage; the loader reads it instead of the real one."""
    folder = tmp_path / "data"
    shutil.copytree(data.folder(), folder)
    monkeypatch.setenv("WATTSHIFT_DATA", str(folder))
    return folder


def refused(name: str) -> str:
    """The refusal of a table, which must be plain sentences that name one of its two files."""
    with pytest.raises(Refusal) as caught:
        data.load(name)
    message = str(caught.value)
    for sentence in message.splitlines():
        assert re.match(rf"({name}|sources)\.(csv|yml)\b|and [\d,]+ more faults\.$", sentence), sentence
        assert sentence.endswith(".")
        assert sentence.isprintable()
    return message


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_bytes().decode()
    assert text.count(old) == 1, (old, text.count(old))
    path.write_bytes(text.replace(old, new).encode())


def restamp(folder: Path, name: str) -> None:
    """Make the card agree with a changed file, as somebody would who trusts checksums alone."""
    content = (folder / f"{name}.csv").read_bytes()
    card = (folder / f"{name}.yml").read_text()
    card = re.sub(r'sha256: ".*"', f'sha256: "{data.sha256(content)}"', card)
    card = re.sub(r"bytes: \d+", f"bytes: {len(content)}", card)
    (folder / f"{name}.yml").write_text(card)


# ---------------------------------------------------------------- the folder as it is


def test_every_table_is_what_its_card_says():
    assert data.names() == TABLES
    assert {found.name: found.faults for found in data.inspect()} == dict.fromkeys(TABLES, ())


def test_readme_and_licences_name_every_table_and_its_terms():
    readme = (data.folder() / "README.md").read_text()
    licences = (data.folder() / "LICENSES.md").read_text()
    for name in TABLES:
        card = data.card(name)
        line = next(line for line in readme.splitlines() if line.startswith(f"| `{name}`"))
        cells = [cell.strip(" *") for cell in line.split("|")]
        assert cells[3] == card.redistribution
        assert f"`{name}`" in licences
    assert "CC BY-NC 4.0" in data.card("btc_network_daily").licence
    assert "non-commercial purposes only" in licences


def test_of_tables_with_unknown_terms_only_the_announced_part_is_here():
    rigs = data.load("asic_models")
    assert rigs["source"].str.contains("UNVERIFIED").sum() == 20  # as the card says; a notebook leaves them out
    assert data.card("asic_models").redistribution == "unknown"
    assert (rigs.watts / rigs.th_s - rigs.j_per_th).abs().max() < 0.0051  # 2 decimals


def test_every_candidate_site_is_in_the_tables_of_countries_and_the_series_it_names_exists():
    sites = data.load("site_candidates")
    for name in ("country_governance", "conflict_events_annual", "country_energy_annual"):
        assert set(sites.iso3) <= set(data.load(name).iso3), name
    tension = data.load("gpr_monthly")
    named = sites.dropna(subset="gpr_series")
    assert (named.gpr_series == "GPRC_" + named.iso3).all()
    assert set(tension.series) == {"GPR", *named.gpr_series}  # terms unknown: no series that no site needs
    assert not set(sites.iso3[sites.gpr_series.isna()]) & set(tension.iso3)
    assert tension.groupby("series").month.agg(lambda m: m.is_monotonic_increasing and len(m) == 315).all()


def test_the_tail_of_prices_begins_where_the_network_table_ends():
    tail, network = data.load("btc_price_tail_coinbase"), data.load("btc_network_daily")
    assert data.card("btc_price_tail_coinbase").redistribution == "unknown"
    assert list(tail.columns) == ["date", "price_usd"]  # no column of the network is known after its last day
    assert tail.date.iloc[0] == pd.Timestamp("2026-06-02")  # the day after the network table's last when it was made
    before = network.price_usd[network.date == tail.date.iloc[0] - pd.Timedelta(days=1)].item()
    assert abs(np.log(tail.price_usd.iloc[0] / before)) < 0.1  # one day's move


def test_no_card_names_a_folder_of_a_machine():
    for name in TABLES:
        text = (data.folder() / f"{name}.yml").read_text()
        assert not re.search(r"/(work|home|tmp|Users)/|\.\./", text)


# ---------------------------------------------------------------- what load gives


def test_frames_are_typed():
    network = data.load("btc_network_daily")
    assert network.dtypes.astype(str).to_dict() == {
        "date": "datetime64[us]",
        "price_usd": "float64",
        "hashrate_ehs": "float64",
        "difficulty": "float64",
        "blocks": "int64",
        "issuance_btc": "float64",
        "fees_btc": "float64",
    }
    assert isinstance(network.index, pd.RangeIndex)
    assert network.price_usd.isna().sum() == (dt.date(2010, 7, 18) - dt.date(2009, 1, 9)).days
    claims = data.load("claims")
    assert set(claims.dtypes.astype(str)) == {"str"}
    assert claims.set_index("claim_id").low["PK-11"] == "100000"
    assert claims.quantity.isna().any()


def test_a_date_known_to_the_month_or_year_is_its_first_day():
    rigs = data.load("asic_models").set_index("model")
    assert rigs.release["Antminer S9 (11.5T)"] == pd.Timestamp("2016-06-01")
    assert rigs.release["Antminer S19k Pro"] == pd.Timestamp("2023-01-01")  # the source knows the year only
    assert rigs.release_known_to["Antminer S19k Pro"] == "year"
    cells = pd.read_csv(data.folder() / "asic_models.csv", dtype="str", index_col="model")
    assert (rigs.release_known_to == cells.release.str.len().map({4: "year", 7: "month"})).all()


def test_a_frame_is_the_callers_own():
    first = data.load("halvings")
    first.loc[0, "height"] = 1
    first["height"].to_numpy(copy=True)[:] = 2
    assert data.load("halvings").height.tolist() == [210_000, 420_000, 630_000, 840_000]


def test_values_agree_with_an_independent_reader():
    for name in TABLES:
        ours, theirs = data.load(name), pd.read_csv(data.folder() / f"{name}.csv", dtype="str", keep_default_na=False)
        assert list(ours.columns) == list(theirs.columns)
        for column in data.card(name).columns:
            cells = theirs[column.name]
            assert (ours[column.name].isna() == (cells == "")).all()
            filled = cells != ""
            if column.type in ("number", "integer"):
                assert (ours[column.name][filled].astype(float) == cells[filled].astype(float)).all()
            elif column.type == "string":
                assert (ours[column.name][filled] == cells[filled]).all()
            else:
                written = ours[column.name][filled].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
                assert all(a.startswith(b) for a, b in zip(written, cells[filled], strict=True))


def test_loaded_remembers_names_in_order_and_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(data, "_loaded", [])
    for name in ("halvings", "claims", "halvings"):
        data.load(name)
    assert data.loaded() == ["halvings", "claims"]
    data.loaded().append("x")
    assert data.loaded() == ["halvings", "claims"]


# ---------------------------------------------------------------- damage


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        (
            "btc_network_daily",
            "2024-04-19,63762.63,",
            "2024-04-19,637626.3,",
            'btc_network_daily.csv, line 5581, column price_usd: holds "637626.3"; '
            "allowed is a number in plain digits from 0 to 500000 USD per BTC, or nothing.",
        ),
        (
            "btc_network_daily",
            "2024-04-19,63762.63,",
            "2024-04-19,1e5,",
            'line 5581, column price_usd: holds "1e5"',
        ),
        ("btc_network_daily", "2024-04-19,63762.63,", "2024-04-19,NaN,", 'column price_usd: holds "NaN"'),
        ("btc_network_daily", "2024-04-19,63762.63,", "2024-04-19,inf,", 'column price_usd: holds "inf"'),
        ("btc_network_daily", "2024-04-19,63762.63,", "2024-04-19, 63762.63,", 'column price_usd: holds " 63762.63"'),
        ("btc_network_daily", "2024-04-19,63762.63,", "2024-04-19,٦٣٧٦٢,", 'column price_usd: holds "٦٣٧٦٢"'),
        ("btc_network_daily", "2024-04-19,63762.63,", '2024-04-19,"63,762.63",', 'holds "63,762.63"'),
        ("btc_network_daily", "2024-04-19,63762.63,", "19/04/2024,63762.63,", "allowed is a date written YYYY-MM-DD."),
        ("btc_network_daily", "2024-04-19,63762.63,", "2024-02-30,63762.63,", 'column date: holds "2024-02-30"'),
        ("btc_network_daily", "2024-04-19,63762.63,", ",63762.63,", "line 5581, column date: holds nothing"),
        (
            "btc_network_daily",
            "2024-04-19,63762.63,",
            "2024-04-18,63762.63,",
            'line 5581, column date: "2024-04-18" repeats the row above',
        ),
        ("btc_network_daily", "2024-04-19,63762.63,", "2024-04-19,63762,63,", "line 5581: has 8 cells; allowed is 7."),
        ("asic_models", "Antminer S21,Bitmain,", "Antminer S21,Bitman,", 'holds "Bitman"; allowed is one of'),
        ("asic_models", ",air,F2POOL-2020; CBECI-MINERS\n", ",air,SOMEBODY\n", 'column source: holds "SOMEBODY"'),
        ("asic_models", "Antminer S21,Bitmain,", "Antminer S9,Bitmain,", 'allowed is rising order'),
        ("halvings", "840000,", "840001,", "allowed is one of 210000, 420000, 630000, 840000."),
        ("halvings", "2024-04-20T00:09:27Z", "2024-04-20T00:09:27", "allowed is a date written YYYY-MM-DDThh:mm:ssZ."),
        ("halvings", "630000,", "6.3e5,", 'line 4, column height: holds "6.3e5"'),
        ("halvings", "4,840000", "5,840000", 'column halving: holds "5"; allowed is a whole number from 1 to 4'),
        (
            "difficulty_retargets",
            "\n4032,",
            "\n4033,",
            'line 4, column height: "4033" follows "2016", so a row is missing or wrong; allowed is a step of 2016.',
        ),
        ("grid_reliability", "USA,,2021,SAIDI", "USA,,2020,SAIDI", 'basis: "USA /  / 2020 / SAIDI / with_major'),
        ("grid_reliability", "USA,,2021,SAIDI", "USA,,2019,SAIDI", "allowed is rising order"),
        ("claims", "PK-05,", '"PK-05,', "not comma-separated values"),
    ],
)  # fmt: skip
def test_a_damaged_cell_is_named(copy: Path, name: str, old: str, new: str, said: str):
    edit(copy / f"{name}.csv", old, new)
    assert said in refused(name)
    if name != "claims":
        restamp(copy, name)  # a new checksum on the card does not help
        assert said in refused(name)


def test_a_plausible_change_is_caught_by_the_checksum(copy: Path):
    edit(copy / "btc_network_daily.csv", "2024-04-19,63762.63,", "2024-04-19,63762.64,")
    message = refused("btc_network_daily")
    assert "was changed since its card was made" in message
    assert data.sha256(copy / "btc_network_daily.csv") in message
    restamp(copy, "btc_network_daily")
    assert data.load("btc_network_daily").price_usd.max() < 130_000


def test_a_missing_row_is_placed(copy: Path):
    path = copy / "btc_network_daily.csv"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3000] + lines[3001:]))
    message = refused("btc_network_daily")
    assert "line 3001, column date:" in message
    assert "so a row is missing" in message
    assert f"has {len(lines) - 2:,} rows below the column names; its card says {len(lines) - 1:,}" in message


def test_a_missing_last_row_is_counted(copy: Path):
    path = copy / "btc_network_daily.csv"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    message = refused("btc_network_daily")
    assert f"has {len(lines) - 2:,} rows below the column names; its card says {len(lines) - 1:,}" in message


def test_swapped_columns_are_refused_with_and_without_their_names(copy: Path):
    path = copy / "btc_network_daily.csv"
    table = pd.read_csv(path, dtype="str", keep_default_na=False)
    swapped = table[["date", "hashrate_ehs", "price_usd", *table.columns[3:]]]
    swapped.to_csv(path, index=False, lineterminator="\n")
    message = refused("btc_network_daily")
    assert 'line 1, column 2: is named "hashrate_ehs"; allowed is price_usd' in message
    swapped.to_csv(path, index=False, lineterminator="\n", header=list(table.columns))
    message = refused("btc_network_daily")
    assert re.search(r"line \d+, column hashrate_ehs: holds", message)
    assert re.search(r"and [\d,]+ more faults\.$", message)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda _: b"", "the file is empty"),
        (lambda _: b"\n", "line 1, column 1|has 0 column names|has 0 cells"),
        (lambda b: b"\xef\xbb\xbf" + b, "line 1: starts with a byte-order mark"),
        (lambda b: b.decode().encode("utf-16"), "line 1: starts with a byte-order mark"),
        (lambda b: b.replace(b"\n", b"\r\n"), "line 1: holds a carriage return"),
        (lambda b: b.replace(b"\n", b"\r\n", 3)[:-1] + b"\r\n", "line 1: holds a carriage return"),
        (lambda b: b[: len(b) // 2], "the file is cut off|has . cells"),
        (lambda b: b[:-1], "the file is cut off"),
        (lambda b: b + b"\n", "has 0 cells; allowed is 5"),
        (lambda _: bytes(range(256)) * 40, "control character|carriage return|byte-order"),
        (lambda _: np.random.default_rng(7).bytes(5000), "control character|carriage return|not UTF-8"),
        (lambda b: b.replace(b"210000", b"21\xff00"), "line 2: byte 0xff is not UTF-8"),
        (lambda b: b.replace(b"210000", b"21\x0000"), "line 2: holds control character 0"),
        (lambda b: b.replace(b"210000", b"2" * 200_000), "line 2: not comma-separated|column height: holds"),
        (lambda b: b.replace(b"210000", b"2" * 5000), 'column height: holds "2{57}\\.\\.\\."'),
        (lambda b: b.replace(b",", b";"), "line 1, column 1: is named"),
        (lambda b: b[: b.index(b"\n") + 1], "has 0 rows below the column names; its card says 4"),
    ],
)
def test_a_damaged_file_is_refused(copy: Path, damage, said: str):
    path = copy / "halvings.csv"
    path.write_bytes(damage(path.read_bytes()))
    assert re.search(said, refused("halvings"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("title: Bitcoin halvings", "title: [", "halvings.yml, line 3: not valid YAML"),
        ("rows: 4", "rows: four", 'halvings.yml, field rows: "four":'),
        ("rows: 4", "rows: 5", "has 4 rows below the column names; its card says 5"),
        ("rows: 4", "row_count: 4", "halvings.yml, field rows: is missing."),
        ("rows: 4", "rows: 4\nnote: x", "halvings.yml, field note: is no field of a card."),
        ("bytes: 222", "bytes: 223", "has 222 bytes; its card says 223"),
        ('sha256: "', 'sha256: "0', "halvings.yml, field sha256:"),
        ("date_read: 2026-11-21", "date_read: 2026-02-30", "halvings.yml: not valid YAML"),
        ("redistribution: 'yes'", "redistribution: yes", "halvings.yml, field redistribution:"),
        ("range: 2012..2024", "range: 2012..2023", "runs from 2012-11-28T15:24:38Z to 2024-04-20T00:09:27Z"),
        ("file: halvings.csv", "file: ../halvings.csv", 'field file says "../halvings.csv"; allowed is halvings.csv'),
        ("primary_key:\n- halving", "primary_key:\n- ordinal", "primary_key: there is no column ordinal"),
        ("minimum: 1, maximum: 4", "minimum: 4, maximum: 1", "minimum 4.0 lies above maximum 1.0"),
        ("format: 'YYYY-MM-DDThh:mm:ssZ'", "format: DD.MM.YYYY", "column block_time_utc: a date needs a format"),
    ],
)
def test_a_damaged_card_is_refused(copy: Path, old: str, new: str, said: str):
    edit(copy / "halvings.yml", old, new)
    assert said in refused("halvings")


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\x00", b"- a\n- b\n", b"just text", b"[" * 5000, b"{a: 1}", b"!!timestamp x", b"? [a]\n: 1"],
)
def test_a_card_that_is_no_card_is_refused(copy: Path, content: bytes):
    (copy / "halvings.yml").write_bytes(content)
    assert "halvings.yml" in refused("halvings")


def test_half_of_a_pair_is_refused(copy: Path):
    (copy / "halvings.csv").unlink()
    assert refused("halvings") == "halvings.yml is a card without its table: halvings.csv is missing."
    (copy / "stray.csv").write_text("a\n1\n")
    assert refused("stray") == "stray.csv has no card: stray.yml is missing."
    faults = {found.name: found.faults for found in data.inspect() if found.faults}
    assert sorted(faults) == ["halvings", "stray"]


def test_a_table_that_is_a_folder_is_refused(copy: Path):
    (copy / "halvings.csv").unlink()
    (copy / "halvings.csv").mkdir()
    assert "halvings.csv cannot be read" in refused("halvings")


@pytest.mark.parametrize("name", ["halving", "btc_network", "../data/halvings", "", "halvings.csv", "x" * 9999, "a\nb"])
def test_an_unknown_table_is_refused_with_the_nearest_one(name: str):
    with pytest.raises(Refusal) as caught:
        data.load(name)
    message = str(caught.value)
    assert message.isprintable()
    assert message.startswith("there is no table named ")
    assert len(message) < 300
    if name == "halving":
        assert message.endswith("did you mean halvings?")


def test_a_missing_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WATTSHIFT_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(Refusal, match="there is no data folder at"):
        data.names()


def test_a_changed_source_list_is_seen_although_the_table_was_loaded_before(copy: Path):
    assert len(data.load("asic_models")) > 0
    edit(copy / "sources.csv", "F2POOL-2020", "F2POOL-2021")
    assert "sources.csv" in refused("asic_models")
    restamp(copy, "sources")
    assert 'column source: holds "F2POOL-2020' in refused("asic_models")
    (copy / "sources.csv").unlink()  # without the list the keys cannot be checked; the table itself still can
    assert len(data.load("asic_models")) > 0


BYTES = (data.folder() / "halvings.csv").read_bytes()
CARD = (data.folder() / "halvings.yml").read_bytes()
EDITS = st.lists(
    st.tuples(
        st.integers(0, len(BYTES)), st.sampled_from(["set", "insert", "delete"]), st.binary(min_size=1, max_size=6)
    ),
    min_size=1,
    max_size=4,
)
TIDY = st.text(alphabet="0123456789,-.:TZe \n\"'", min_size=1, max_size=6).map(str.encode)
TIDY_EDITS = st.lists(
    st.tuples(st.integers(0, len(BYTES)), st.sampled_from(["set", "insert", "delete"]), TIDY), min_size=1, max_size=4
)


def damaged(content: bytes, edits: list[tuple[int, str, bytes]]) -> bytes:
    for place, kind, given_bytes in edits:
        place = place % (len(content) + 1)
        rest = content[place + (0 if kind == "insert" else len(given_bytes)) :]
        content = content[:place] + (b"" if kind == "delete" else given_bytes) + rest
    return content


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.one_of(EDITS, TIDY_EDITS), stamped=st.booleans())
def test_any_edit_of_bytes_loads_the_same_or_is_refused(copy: Path, edits: list[tuple[int, str, bytes]], stamped: bool):
    """Without a new checksum nothing but the very same bytes loads; with one, only what the card allows."""
    content = damaged(BYTES, edits)
    (copy / "halvings.yml").write_bytes(CARD)
    (copy / "halvings.csv").write_bytes(content)
    if stamped:
        restamp(copy, "halvings")
    try:
        frame = data.load("halvings")
    except Refusal as refusal:
        said = str(refusal).splitlines()
    else:
        said = []
        assert stamped or content == BYTES
        assert frame.halving.tolist() == [1, 2, 3, 4]
        assert frame.height.isin([210_000, 420_000, 630_000, 840_000]).all()
        assert frame.notna().all().all()
    assert bool(said) or stamped or content == BYTES
    assert all(line.isprintable() and line.endswith(".") for line in said)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.one_of(EDITS, TIDY_EDITS))
def test_any_edit_of_a_card_gives_the_same_numbers_or_a_refusal(copy: Path, edits: list[tuple[int, str, bytes]]):
    """A card can be changed so that it is still true; it can never make other numbers load, nor end in a traceback."""
    (copy / "halvings.yml").write_bytes(damaged(CARD, edits))
    try:
        frame = data.load("halvings")
    except Refusal:
        return
    assert frame.height.tolist() == [210_000, 420_000, 630_000, 840_000]
    assert frame.subsidy_after_btc.tolist() == [25, 12.5, 6.25, 3.125]


# ---------------------------------------------------------------- the traps that the cards name


@pytest.fixture(scope="module")
def network() -> pd.DataFrame:
    return data.load("btc_network_daily")


def test_hashrate_difficulty_and_blocks_are_one_identity(network: pd.DataFrame):
    """hashrate = difficulty x 2^32 / 600 s x blocks / 144, to the rounding of the file (6 and 9 digits)."""
    implied = network.difficulty * HASHES_PER_DIFFICULTY / SECONDS_PER_BLOCK * network.blocks / BLOCKS_PER_DAY / 1e18
    some = network.blocks > 0
    assert (network.hashrate_ehs[~some] == 0).all()
    assert (implied / network.hashrate_ehs - 1)[some].abs().max() < 5.1e-6


def test_issuance_is_blocks_times_subsidy_but_on_the_four_halving_days(network: pd.DataFrame):
    after = network.blocks.cumsum()  # height at the end of the day; the table starts with block 1
    before = after - network.blocks
    start, end = (50.0 / 2 ** (height // 210_000) for height in (before + 1, after))
    mixed = start != end
    assert network.date[mixed].dt.strftime("%Y-%m-%d").tolist() == [
        "2012-11-28",
        "2016-07-09",
        "2020-05-11",
        "2024-04-19",
    ]
    assert (network.issuance_btc == network.blocks * end)[~mixed].all()
    first_new = (before // 210_000 + 1) * 210_000
    split = (first_new - 1 - before) * start + (after - first_new + 1) * end
    assert (network.issuance_btc - split)[mixed].abs().max() < 1e-9


def test_the_fourth_halving_counts_on_the_day_before_its_header(network: pd.DataFrame):
    """Block 840,000 has a header time of 00:09 UTC on 20 April 2024, but days are cut by median time past."""
    height = network.blocks.cumsum()
    assert network.date[(height >= 840_000).idxmax()] == pd.Timestamp("2024-04-19")
    assert data.load("halvings").block_time_utc[3].date() == dt.date(2024, 4, 20)


def test_halving_times_are_the_header_times_of_the_chain():
    """Unix times of the headers of blocks 210,000, 420,000, 630,000 and 840,000, as any block explorer shows them."""
    headers = pd.to_datetime([1354116278, 1468082773, 1589225023, 1713571767], unit="s")
    assert (data.load("halvings").block_time_utc.to_numpy() == headers.to_numpy()).all()


def test_retargets_agree_with_the_daily_table(network: pd.DataFrame):
    """A day without a retarget has the difficulty of its period in both tables."""
    retargets = data.load("difficulty_retargets")
    assert retargets.height.tolist() == list(range(0, len(retargets) * 2016, 2016))
    assert retargets.date[:-1].notna().all()  # the last one may have come in without its date
    assert len(retargets) >= 474
    steps = retargets.difficulty / retargets.difficulty.shift()
    compact = 2**-15  # the clamp of consensus, to the rounding of a target in compact form
    assert steps.dropna().between((1 - compact) / 4, 4 * (1 + compact)).all()
    height = network.blocks.cumsum()
    period = height // 2016
    inside = ((height - network.blocks) // 2016 == period) & (period < len(retargets))
    level = period.map(retargets.difficulty).to_numpy()
    off = (network.difficulty / level - 1).abs()[inside & (network.blocks > 0)]
    assert len(off) >= 5_881
    assert off.max() < 2e-6  # difficulty was derived from a hashrate of 6 digits


def test_block_luck_is_about_one_over_the_root_of_144(network: pd.DataFrame):
    """A day's hashrate scatters by 1/sqrt(144) = 8.3 % about a steady difficulty; blocks are nearly Poisson."""
    year = network[network.date >= "2025-06-01"]
    relative = year.blocks / year.blocks.rolling(29, center=True).mean()
    assert relative.std() == pytest.approx(1 / np.sqrt(BLOCKS_PER_DAY), rel=0.12)


def test_the_date_of_the_chinese_ban_comes_from_a_table():
    events = data.load("mining_regulation_events")
    national = events[(events.iso3 == "CHN") & (events.kind == "ban") & events.region.isna()]
    first = national.sort_values("date").iloc[0]
    assert (first.event_id, first.date_precision) == ("E003", "day")
    assert first.date == pd.Timestamp("2021-05-21")


def test_cards_are_plain_yaml_with_distinct_fields():
    """YAML takes the last of two equal keys without a word; here no field of a card stands twice."""
    for name in TABLES:
        text = (data.folder() / f"{name}.yml").read_text()
        top = re.findall(r"^(\w+):", text, flags=re.MULTILINE)
        assert sorted(top) == sorted(yaml.safe_load(text))


@pytest.fixture(scope="module")
def returns() -> pd.DataFrame:
    return data.load("equity_returns_daily").set_index("date")


def test_bitcoin_at_the_new_york_close_moves_with_the_funds_and_at_midnight_utc_it_does_not(returns: pd.DataFrame):
    """The funds trade until 16:00 in New York; the day of BTC_USD_UTC ends three to four hours later."""
    pairs = returns[["IBIT", "BTC_USCLOSE", "BTC_USD_UTC"]].dropna()
    assert len(pairs) > 600
    assert pairs.corr().loc["IBIT", "BTC_USCLOSE"] > 0.999
    assert 0.85 < pairs.corr().loc["IBIT", "BTC_USD_UTC"] < 0.95


def test_two_securities_named_core_scientific_never_trade_on_one_day(returns: pd.DataFrame):
    old, new = returns.CORZ_OLD.dropna(), returns.CORZ.dropna()
    assert old.index[-1] == pd.Timestamp("2022-12-30")  # the chapter 11 filing was on 2022-12-21
    assert new.index[0] > pd.Timestamp("2024-01-23")  # relisted on 2024-01-24
    assert returns.CORZ_OLD.loc["2022-12-21"] < -0.4


def test_factors_are_percent_and_end_before_the_returns(returns: pd.DataFrame):
    """SPY is nearly the market (without small firms): its return in percent rises by 0.96 per 1 of MKT_RF."""
    factors = data.load("factors_daily").set_index("date")
    assert factors.index.equals(returns.index)
    both = pd.concat([100 * returns.SPY, factors.MKT_RF], axis=1).dropna()
    assert np.polyfit(both.MKT_RF, both.SPY, 1)[0] == pytest.approx(0.96, abs=0.02)
    assert factors.MKT_RF.last_valid_index() == pd.Timestamp("2026-04-30")
    assert factors.TBILL_13W.notna().all()


def test_quarter_ends_are_the_quarters_of_the_fundamentals_and_agree_with_the_returns(returns: pd.DataFrame):
    ends, results = data.load("equity_quarter_end"), data.load("fundamentals_quarterly")
    quarters = [
        frozenset(zip(t.ticker, t[d].dt.to_period("Q"), strict=True))
        for t, d in ((ends, "date"), (results, "period_end"))
    ]
    assert quarters[0] == quarters[1]
    last = {group.index[-1] for _, group in returns.groupby(returns.index.to_period("Q"))}
    assert set(ends.date) <= last
    path = (1 + returns).cumprod()
    for ticker, rows in ends.groupby("ticker"):
        closes = rows.set_index("date").close_adj_usd
        assert (path[ticker].loc[closes.index].pct_change() - closes.pct_change()).abs().max() < 0.005  # 4 digits


def test_net_debt_is_debt_less_cash_where_both_are_known():
    results = data.load("fundamentals_quarterly")
    both = results.dropna(subset=["cash_usd_m", "debt_usd_m", "net_debt_usd_m"])
    assert len(both) >= 10
    assert (both.debt_usd_m - both.cash_usd_m - both.net_debt_usd_m).abs().max() < 0.11


def test_days_of_deals_are_days_of_trading(returns: pd.DataFrame):
    deals = data.load("ai_deals")
    assert deals.event_date.isin(returns.index).all()
    assert (deals.event_date >= deals.announce_date).all()
    assert set(deals.ticker) - set(returns.columns) == {"SECTOR"}
    assert deals.confounders.notna().sum() == 15
