"""What the tables hold of a site: read off the tables by hand, and nothing from after the day."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattshift import coverage, data
from wattshift.refusal import Refusal

TABLES = {name: data.load(name) for name in coverage.TABLES}
PLACES = data.load("site_candidates").set_index("site_id")


def test_the_newest_figures_are_those_that_the_tables_hold():
    found = coverage.newest(TABLES, PLACES, "2026-07-01")
    assert list(found.columns) == list(coverage.SUBJECTS)
    assert list(found.index) == list(PLACES.index)
    assert found.loc["GA_US", "outages"] == pd.Timestamp("2023-12-31")  # EIA-861 to 2023
    assert found["outages"].notna().sum() == 3  # three US states, nobody else
    assert found.loc["FI", "event"] == pd.Timestamp("2026-07-01")
    assert found.loc[["OM", "BR"], "event"].isna().all()  # no row of either
    assert found.loc["IRK_RU", "event"] == pd.Timestamp("2025-10-01")
    assert found.loc["NO", "price"] < pd.Timestamp("2026-01-01")  # its taxes of 2026 are no price
    assert found.loc[["BT", "OM", "PY"], "price"].isna().all()  # homes alone
    assert found.loc["QC_CA", "price"] == pd.Timestamp("2026-02-19")
    assert found.loc["AB_CA", "price"] is pd.NaT  # Quebec's tariffs are not Alberta's
    assert found.loc["ZNPP_UA", "electricity"] == pd.Timestamp("2022-12-31")
    assert set(PLACES.index[found["news"].isna()]) == {"AE", "BT", "EKB_KZ", "ET", "IS", "OM", "PY"}
    assert found.loc["OM", "insurance"] == pd.Timestamp("1996-12-31")


def test_what_was_published_later_is_not_known_yet():
    found = coverage.newest(TABLES, PLACES, "2020-12-31")
    assert (found[["governance", "violence", "electricity"]] == pd.Timestamp("2019-12-31")).all(axis=None)
    assert found["news"].dropna().unique().tolist() == [pd.Timestamp("2020-11-30")]
    assert found["event"].notna().sum() == 1  # Quebec's measures of 2019


@settings(deadline=None, max_examples=15)
@given(
    st.dates(pd.Timestamp("2012-01-01").date(), pd.Timestamp("2027-12-31").date()), st.integers(0, 400)
)  # a later day knows no less
def test_knowledge_only_grows_and_never_lies_ahead(day, later):
    first, then = (pd.Timestamp(day) + pd.Timedelta(days=n) for n in (0, later))
    before, after = (coverage.newest(TABLES, PLACES, d) for d in (first, then))
    assert (before.isna() | (before <= first)).all(axis=None)
    assert (before.isna() | (after >= before)).all(axis=None)


def test_a_missing_table_is_refused():
    with pytest.raises(Refusal, match="gpr_monthly is missing"):
        coverage.newest({name: t for name, t in TABLES.items() if name != "gpr_monthly"}, PLACES, "2026-07-01")
