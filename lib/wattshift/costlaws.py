"""Published cost laws of the bitcoin price, under their own names, and their score on the same days.

Each law maps what was known on a day to a model price of that day, in USD per BTC. What a law has to estimate it
estimates on earlier rows only. No fleet data exist: `efficiency_in_use` stands in for the fleet with nameplates of the
machines of the last years, an assumption that every law with energy in it inherits.
Pure functions: frames in, frames out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wattshift.leadlag import diebold_mariano, log_margin, unit_roots, weekly
from wattshift.units import HASHES_PER_DIFFICULTY, JOULES_PER_KWH, SECONDS_PER_BLOCK

Floats = NDArray[np.float64]

HASHES_PER_TERAHASH = 1e12


# ---------------------------------------------------------------------------------------------------------- the inputs
def available_from(models: pd.DataFrame) -> pd.Series:
    """Day from which a machine counts as available: the last of its month, so that none is used before it was sold.

    models : release (a day that stands for its month), and release_known_to, "month" or "year": a machine known only to
    the year counts from the end of that year. Without that column every release is known to the month.

    >>> rigs = pd.DataFrame({"release": pd.to_datetime(["2023-01-01", "2024-02-01"])})
    >>> rigs["release_known_to"] = ["year", "month"]
    >>> [str(day.date()) for day in available_from(rigs)]
    ['2023-12-31', '2024-02-29']
    """
    month = models["release"] + pd.offsets.MonthEnd(0)
    if "release_known_to" not in models:
        return month
    return month.where(models["release_known_to"] != "year", models["release"] + pd.offsets.YearEnd(0))


def efficiency_gain(models: pd.DataFrame, until: pd.Timestamp, *, years: float = 8, least: int = 10) -> float:
    """Yearly fall of log J/TH of new machines: least-squares slope over the models of the last `years` years.

    models : release, release_known_to (see `available_from`), j_per_th; until : last day known. Never negative; 0 where
    fewer than `least` models, or fewer than three release days, are known.

    >>> models = pd.DataFrame({"release": pd.to_datetime(["2020-12-31", "2021-12-31", "2022-12-31"])})
    >>> models["j_per_th"] = [40.0, 20.0, 10.0]
    >>> round(efficiency_gain(models, pd.Timestamp("2023-06-01"), least=3), 2)
    0.69
    """
    born = available_from(models)
    lately = (born <= until) & (born > until - pd.Timedelta(days=years * 365.25))
    if lately.sum() < least or born[lately].nunique() < 3:
        return 0.0
    age = (born[lately] - until) / pd.Timedelta(days=365.25)
    return max(0.0, -float(np.polyfit(age, np.log(models.loc[lately, "j_per_th"]), 1)[0]))


def efficiency_in_use(models: pd.DataFrame, dates: pd.Series, *, memory_years: float = 3, least: int = 3) -> pd.Series:
    """Stand-in for the fleet's J/TH on each date: geometric mean of the models of the last `memory_years` years.

    models : release, release_known_to (see `available_from`), j_per_th; dates : days. NaN where fewer than `least`
    models are that young. An assumption, not a measurement: sales, retirements and tuned-down machines are unknown.

    >>> models = pd.DataFrame({"release": pd.to_datetime(["2016-06-01", "2018-12-01"]), "j_per_th": [100.0, 25.0]})
    >>> days = pd.Series(pd.to_datetime(["2016-06-29", "2016-06-30", "2019-01-01", "2020-01-01"]))
    >>> efficiency_in_use(models, days, least=1).round(6).tolist()
    [nan, 100.0, 50.0, 25.0]
    """
    born = available_from(models).to_numpy()
    log = np.log(models["j_per_th"].to_numpy(dtype=float))
    memory = np.timedelta64(round(memory_years * 365.25), "D")
    days = dates.to_numpy().astype(born.dtype)
    young = (born[None, :] <= days[:, None]) & (born[None, :] > days[:, None] - memory)
    count = young.sum(axis=1)
    mean = np.where(count >= max(least, 1), (young * log).sum(axis=1) / np.maximum(count, 1), np.nan)
    return pd.Series(np.exp(mean), index=dates.index, name="j_per_th")


def inputs(daily: pd.DataFrame, models: pd.DataFrame, *, memory_years: float = 3, least: int = 3) -> pd.DataFrame:
    """Weekly rows for the laws, counted back from the last day, from the first price on.

    daily : date, price_usd, hashrate_ehs, difficulty, blocks, issuance_btc, one row a day and from the chain's first
    day (the supply is summed from there). Columns out: date, price_usd (close), hashrate_ehs (mean of the last 7 days),
    difficulty (of the last day), subsidy_btc (issuance over blocks, last 7 days), supply_btc, j_per_th (as
    `efficiency_in_use` with the same memory_years and least).
    """
    days = daily.sort_values("date", ignore_index=True)
    week = days[["hashrate_ehs", "blocks", "issuance_btc"]].rolling(7).sum()
    frame = pd.DataFrame(
        {
            "date": days["date"],
            "price_usd": days["price_usd"],
            "hashrate_ehs": week["hashrate_ehs"] / 7,
            "difficulty": days["difficulty"],
            "subsidy_btc": week["issuance_btc"] / week["blocks"],
            "supply_btc": days["issuance_btc"].cumsum(),
        }
    )
    frame["j_per_th"] = efficiency_in_use(models, days["date"], memory_years=memory_years, least=least)
    frame = frame.iloc[(len(frame) - 1) % 7 :: 7]
    return frame[frame["price_usd"].notna()].reset_index(drop=True)


LEAST_WEEKS = 156
"""Weeks with a mining margin below which none is used: three years."""


def with_margin(weeks: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Weeks of `leadlag.weekly` with subsidy_btc, j_per_th and margin (`leadlag.log_margin`) beside them.

    frame : `inputs` of the same daily table, so that the weeks end on the same days. Kept are the weeks after the last
    one for which no machines are known, so that none is missing between; if they are fewer than LEAST_WEEKS, all weeks
    are given back as they were, without the columns.
    """
    joined = weeks.merge(frame[["date", "subsidy_btc", "j_per_th"]], on="date", how="left")
    price, hashrate = np.exp(joined["log_price"].to_numpy()), np.exp(joined["log_hashrate"].to_numpy())
    joined["margin"] = log_margin(price, joined["subsidy_btc"].to_numpy(), hashrate, joined["j_per_th"].to_numpy())
    blank = np.flatnonzero(joined["margin"].isna())
    known = joined.iloc[blank[-1] + 1 :] if len(blank) else joined
    return known.reset_index(drop=True) if len(known) >= LEAST_WEEKS else weeks


def margin_verdicts(
    daily: pd.DataFrame,
    catalogues: Mapping[str, pd.DataFrame],
    starts: Sequence[pd.Timestamp],
    memories: Sequence[float] = (2, 3, 4),
) -> pd.DataFrame:
    """How the tests of the mining margin turn with machines, first week and the age up to which machines count.

    daily, and each of catalogues : as `inputs` takes them; starts : first days of the comparison
    One row per different sample, by catalogue, then first week, then memory: machines (name of the catalogue), first
    (week), weeks, memory (years), adf_p, kpss_p, reads (as `unit_roots` around a level). Too short samples are left
    out.
    """
    rows = []
    for name, models in catalogues.items():
        for memory in memories:
            frame = inputs(daily, models, memory_years=memory)
            for start in starts:
                weeks = with_margin(weekly(daily[daily["date"] >= start]), frame)
                if "margin" in weeks:
                    one = unit_roots({name: weeks["margin"].to_numpy()}, "level").iloc[0]
                    first = weeks["date"].iloc[0]
                    rows.append((name, first, len(weeks), memory, one["adf_p"], one["kpss_p"], one["reads"]))
    table = pd.DataFrame(rows, columns=["machines", "first", "weeks", "memory", "adf_p", "kpss_p", "reads"])
    order = {name: place for place, name in enumerate(catalogues)}
    table = table.drop_duplicates(["machines", "first", "memory"])
    return table.sort_values(
        ["machines", "first", "memory"], key=lambda column: column.map(order) if column.name == "machines" else column
    ).reset_index(drop=True)


# ------------------------------------------------------------------------------------------------------------ the laws
def hayes_price(difficulty: Floats, subsidy: Floats, efficiency: Floats, power_price: float) -> Floats:
    """Marginal cost of one bitcoin in USD: the price at which the energy of mining it is just paid (Hayes 2017, 2019).

    Hayes divides a miner's daily energy cost by his daily coins, BTC/day = subsidy x hashrate x 86,400 /
    (difficulty x 2^32); the hashrate cancels. Fees are left out, as there.

    difficulty : (n,), subsidy : BTC per block, efficiency : J/TH, power_price : USD/kWh.
    Hayes (2017), Telematics and Informatics 34(7), 1308-1321; (2019), Applied Economics Letters 26(7), 554-560.

    >>> cost = hayes_price(np.array([2.0e14]), np.array([3.125]), np.array([20.0]), 0.05)
    >>> round(float(cost[0]))       # 8.589934592e23 hashes a block, 4.7722 GWh, 238,609 USD, over 3.125 BTC
    76355
    """
    kwh_per_block = difficulty * HASHES_PER_DIFFICULTY / HASHES_PER_TERAHASH * efficiency / JOULES_PER_KWH
    return np.asarray(kwh_per_block * power_price / subsidy, dtype=np.float64)


def past_mean(values: Floats, least: int) -> Floats:
    """Mean of all earlier known entries (never the row's own), NaN until there are `least` of them.

    >>> past_mean(np.array([np.nan, 1.0, 3.0, 8.0]), 2).tolist()
    [nan, nan, nan, 2.0]
    """
    known = np.isfinite(values)
    count = np.concatenate([[0], np.cumsum(known)[:-1]])
    total = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))[:-1]])
    return np.where(count >= least, total / np.maximum(count, 1), np.nan)


def expanding_line(x: Floats, y: Floats, least: int) -> Floats:
    """Least-squares line through all earlier points, read at the row's own x; NaN until there are `least` points.

    >>> expanding_line(np.array([0.0, 1.0, 2.0, 3.0]), np.array([1.0, 3.0, 0.0, 9.0]), 2)[2].item()
    5.0
    """
    mean_x, mean_y = past_mean(x, least), past_mean(y, least)
    variance = past_mean(x * x, least) - mean_x**2
    slope = (past_mean(x * y, least) - mean_x * mean_y) / np.where(variance > 0, variance, np.nan)
    return np.asarray(mean_y + slope * (x - mean_x), dtype=np.float64)


def _hayes(frame: pd.DataFrame, power_price: float, least: int) -> Floats:  # noqa: ARG001  (nothing to estimate)
    difficulty, subsidy = frame["difficulty"].to_numpy(dtype=float), frame["subsidy_btc"].to_numpy(dtype=float)
    return hayes_price(difficulty, subsidy, frame["j_per_th"].to_numpy(dtype=float), power_price)


def _difficulty_regression(frame: pd.DataFrame, power_price: float, least: int) -> Floats:  # noqa: ARG001
    supply = frame["supply_btc"].to_numpy(dtype=float)
    value = np.log(frame["price_usd"].to_numpy(dtype=float) * supply)
    # the origin of x does not matter to a line; the mean is taken away for arithmetic's sake
    difficulty = np.log(frame["difficulty"].to_numpy(dtype=float)) - 25.0
    return np.asarray(np.exp(expanding_line(difficulty, value, least)) / supply, dtype=np.float64)


def _price_to_hashrate(frame: pd.DataFrame, power_price: float, least: int) -> Floats:  # noqa: ARG001
    hashrate = frame["hashrate_ehs"].to_numpy(dtype=float)
    ratio = pd.Series(np.log(frame["price_usd"].to_numpy(dtype=float) / hashrate))
    usual = ratio.rolling(52, min_periods=52).median().shift(1).to_numpy()
    return np.asarray(hashrate * np.exp(usual), dtype=np.float64)


def energy_value(frame: pd.DataFrame) -> Floats:
    """Edwards's energy over supply growth, in joules: J/s of the network divided by the supply's growth a second.

    >>> row = pd.DataFrame({"hashrate_ehs": [100.0], "j_per_th": [50.0], "subsidy_btc": [12.5], "supply_btc": [18e6]})
    >>> f"{energy_value(row)[0]:.3e}"      # 5e9 W over (12.5/600)/18e6 per second
    '4.320e+18'
    """
    watts = frame["hashrate_ehs"].to_numpy(dtype=float) * 1e6 * frame["j_per_th"].to_numpy(dtype=float)
    growth = frame["subsidy_btc"].to_numpy(dtype=float) / SECONDS_PER_BLOCK / frame["supply_btc"].to_numpy(dtype=float)
    return np.asarray(watts / growth, dtype=np.float64)


def _energy_value(frame: pd.DataFrame, power_price: float, least: int) -> Floats:  # noqa: ARG001
    joules = energy_value(frame)
    usd_per_joule = past_mean(np.log(frame["price_usd"].to_numpy(dtype=float) / joules), least)
    return np.asarray(joules * np.exp(usd_per_joule), dtype=np.float64)


@dataclass(frozen=True)
class Law:
    """A cost law: its name, its title in print, who published it, what it says, and the function of model prices.

    The function takes the frame of `inputs`, the power price (USD/kWh) and how many earlier rows an estimate needs;
    it returns USD per BTC, NaN where the law cannot speak yet.
    """

    name: str
    title: str
    source: str
    says: str
    price: Callable[[pd.DataFrame, float, int], Floats]


LAWS: dict[str, Law] = {
    law.name: law
    for law in (
        Law(
            "hayes",
            "Hayes",
            "2017, 2019",
            "the energy cost of one coin at an assumed power price; nothing is estimated",
            _hayes,
        ),
        Law(
            "difficulty-regression",
            "Difficulty regression",
            "Hague; Checkmate of Glassnode, 2022",
            "a line of log market value on log difficulty, per coin",
            _difficulty_regression,
        ),
        Law(
            "price-to-hashrate",
            "Price to hashrate",
            "a practitioners' ratio without a single author",
            "hashrate times the median ratio of price to hashrate over the past 52 weeks; being scaled by recent "
            "prices, it is close to the price by making",
            _price_to_hashrate,
        ),
        Law(
            "energy-value",
            "Energy value",
            "Edwards, 2019",
            "network power over the supply's growth rate, times a constant",
            _energy_value,
        ),
    )
}


def model_prices(
    frame: pd.DataFrame, power_price: float, *, laws: Sequence[str] = tuple(LAWS), least: int = 104
) -> pd.DataFrame:
    """Model price of each named law for each row of `inputs`: date, price_usd, then one column a law, USD per BTC.

    power_price : USD/kWh, used by "hayes" alone; least : earlier weeks an estimate needs. Unknown names: KeyError.
    """
    columns = {name: LAWS[name].price(frame, power_price, least) for name in laws}
    return pd.concat([frame[["date", "price_usd"]], pd.DataFrame(columns, index=frame.index)], axis=1)


def score(prices: pd.DataFrame, *, horizon: int = 26, least: int = 26) -> pd.DataFrame:
    """Score every law of `model_prices` on the same weeks, in natural logs.

    One row a law. bias: mean of log model minus log price; rmse: root mean square of that, same week; rmse_level: the
    same after the law's own past mean error (at least `least` weeks of it) is taken away; rmse_ahead: the so corrected
    model price of week t as a forecast of the price in week t + horizon, beside rmse_walk, for which the price stays
    where it is; p: equal accuracy of the two (Diebold-Mariano, Harvey-Leybourne-Newbold), NaN where weeks are too few;
    weeks, pairs: how many rows each score uses. Weeks on which any law is silent are left out for all. Empty if none.
    """
    names = [name for name in prices.columns if name not in ("date", "price_usd")]
    actual = np.log(prices["price_usd"].to_numpy(dtype=float))
    error = {name: np.log(prices[name].to_numpy(dtype=float)) - actual for name in names}
    level = {name: error[name] - past_mean(error[name], least) for name in names}
    same = np.all([np.isfinite(level[name]) for name in names], axis=0)
    ahead = np.full(len(actual), np.nan)
    ahead[:-horizon] = actual[horizon:] - actual[:-horizon]
    pairs = same & np.isfinite(ahead)
    rows = []
    for name in names if same.any() else []:
        e, c = error[name][same], level[name][same]
        law, walk = (level[name] - ahead)[pairs], ahead[pairs]
        p = float("nan")
        if len(law) >= max(4, 2 * horizon):
            p = diebold_mariano(law**2, walk**2, horizon).p
        ahead_rmse = [float(np.sqrt((x**2).mean())) if len(x) else float("nan") for x in (law, walk)]
        fit = (float(e.mean()), float(np.sqrt((e**2).mean())), float(np.sqrt((c**2).mean())))
        rows.append((name, *fit, *ahead_rmse, p, int(same.sum()), int(pairs.sum())))
    columns = ["law", "bias", "rmse", "rmse_level", "rmse_ahead", "rmse_walk", "p", "weeks", "pairs"]
    return pd.DataFrame(rows, columns=columns)
