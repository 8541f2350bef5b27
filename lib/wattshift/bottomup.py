"""Electricity of the world's data centres counted from below: accelerators × watts × utilization × PUE, plus the rest.

Every input is a range, from the table dc_inputs where it holds one and stated with its reason where it does not. The
model asks how the pieces that others count add up, and which of them decides: it is a check, and no forecast.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from wattshift.demand import TWH_PER_GW_YEAR, Boundary, levels
from wattshift.refusal import Refusal

Floats = NDArray[np.float64]
Values = Mapping[str, ArrayLike]  # name of an input -> its value, or a value a draw

ACCELERATORS_PER_SERVER = 8  # in the DGX systems whose power the table gives
AHEAD_YEARS = 5  # accelerator_shipments_growth_factor is of 2030 over 2025
HIGH_INFERENCE = 0.30  # idle share and inference utilization of LBNL's high inference case (scope of their rows)
AI_PUE_LOW = 1.12  # SemiAnalysis for 2028 (note of its row of pue_ai_datacentre)
STATED = "stated here"


@dataclass(frozen=True, slots=True)
class Input:
    """One input as a range: name, ends, unit, what it is, and who says so (`STATED`: nobody, it is our assumption)."""

    name: str
    low: float
    high: float
    unit: str
    meaning: str
    origin: str

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise Refusal(f"the input {self.name!r} needs a range, low end first; given {self.low:g} to {self.high:g}.")

    @property
    def middle(self) -> float:
        """Half way between the ends."""
        return (self.low + self.high) / 2


@dataclass(frozen=True, slots=True)
class Start:
    """What is counted and not guessed.

    shipments : NVIDIA accelerators for data centres sold in a year, millions; years without gaps
    year      : the year of the level that everything but AI starts from
    """

    shipments: Mapping[int, float]
    year: int


@dataclass(frozen=True, slots=True)
class Energy:
    """TWh of one year: the computers of AI alone, the sites of AI, everything else in data centres; and both together.

    Each has a value a draw.
    """

    ai_it: Floats
    ai: Floats
    rest: Floats

    @property
    def total(self) -> Floats:
        """AI sites and the rest."""
        return np.asarray(self.ai + self.rest)


# ---------------------------------------------------------------- the model


def in_service(age: ArrayLike, life: ArrayLike) -> Floats:
    """Share of a calendar year that machines sold evenly over an earlier year are running.

    age  : calendar years between the year of sale and the year asked about, 0 or more
    life : years that each machine runs, at least 1

    A machine sold at u of its year runs from u to u + life. Averaged over u, the share is K(life - age) - K(-age) with
    K(x) the mean over u of x + u, cut to 0 and 1. Over all ages it adds to the life.

    >>> in_service([0, 1, 3, 4, 5], 4).tolist()
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    return np.asarray(_mean_cut(np.subtract(life, age)) - _mean_cut(np.negative(age)))


def _mean_cut(x: ArrayLike) -> Floats:
    """Mean over u from 0 to 1 of x + u, cut to 0 and 1."""
    near = np.clip(np.asarray(x, dtype=float), -1, 1)
    return np.asarray(np.where(near < 0, (1 + near) ** 2 / 2, 1 - (1 - near) ** 2 / 2))


def fleet(values: Values, start: Start, year: int) -> Floats:
    """GW that the accelerators in service in a year would draw at full power, with their share of server and network.

    Sales of years before the first counted one are carried back at the growth between the first two; sales after the
    last are carried on, at one growth up to `start.year` and at another after it. They are counted at equal watts, as
    the published growth of supply is: a heavier accelerator counts as more than one.
    """
    first, last = min(start.shipments), max(start.shipments)
    v: dict[str, Floats] = {name: np.asarray(value, dtype=float) for name, value in values.items()}
    back = start.shipments[first + 1] / start.shipments[first]
    running: Any = 0.0
    for sold in range(year - int(np.ceil(v["service_life"].max())), year + 1):
        if sold < first:
            million: Any = start.shipments[first] / back ** (first - sold)
        elif sold <= last:
            million = start.shipments[sold]
        else:
            until, after = min(sold, start.year) - last, max(sold - start.year, 0)
            million = start.shipments[last] * v["sales_growth_before"] ** until * v["sales_growth_after"] ** after
        running = running + million * in_service(year - sold, v["service_life"])
    return np.asarray(running * v["watts"] / 1000 * v["other_makers"] * v["installed"])


def energy(values: Values, start: Start, year: int) -> Energy:
    """TWh a year from below, a value a draw.

    values: of every name in `inputs`. A running machine draws idle + (1 - idle) × utilization of its full power (the
    linear law of Fan, Weber and Barroso, 2007); utilization is that of training and of inference by their shares. The
    rest of data centres grows from its level by work done, less what is saved per unit of work.

    Raises Refusal for a name that is missing or unknown, and for a year before `start.year`.
    """
    if missing := sorted(set(NAMES) - set(values)):
        raise Refusal(f"the count from below needs {', '.join(missing)} too.")
    if unknown := sorted(set(values) - set(NAMES)):
        near = difflib.get_close_matches(unknown[0], NAMES, n=1)
        raise Refusal(f"there is no input {unknown[0]!r}." + (f" Did you mean {near[0]}?" if near else ""))
    if year < start.year:
        raise Refusal(f"the count from below starts in {start.year}; {year} is before that.")
    v = {name: np.asarray(value, dtype=float) for name, value in values.items()}
    trains = v["training_share"]
    busy = trains * v["training_utilization"] + (1 - trains) * v["inference_utilization"]
    ai_it = TWH_PER_GW_YEAR * fleet(values, start, year) * (v["idle"] + (1 - v["idle"]) * busy)
    growth = (1 + v["rest_growth"]) * (1 - v["rest_saving"])
    rest = v["rest_twh"] * growth ** (year - start.year)
    ai_it, ai, rest = np.broadcast_arrays(ai_it, ai_it * v["ai_pue"], rest)
    return Energy(ai_it, ai, rest)


# ---------------------------------------------------------------- the inputs


NAMES = (
    "sales_growth_before", "sales_growth_after", "other_makers", "installed", "service_life", "watts",
    "idle", "training_utilization", "inference_utilization", "training_share", "ai_pue", "rest_twh", "rest_growth",
    "rest_saving",
)  # fmt: skip


def split(history: pd.DataFrame, region: str = "World") -> pd.DataFrame:
    """Publishers that give both all data centres and the AI among them, in one year.

    A row: year, family, total, ai (TWh), counts (what AI means there). Newest year only. Raises Refusal where no
    publisher gives both.
    """
    known = levels(history)
    known = known[(known["region"] == region) & known["twh"].notna()].sort_values("published")
    wide = known[known["counts"] == str(Boundary.WITHOUT_CRYPTO)].groupby(["year", "family"])["twh"].last()
    rows = []
    for counts in (Boundary.AI_SITES, Boundary.AI_SERVERS):
        narrow = known[known["counts"] == str(counts)].groupby(["year", "family"])["twh"].last()
        for key in narrow.index.intersection(wide.index):
            rows.append((*key, wide[key], narrow[key], str(counts)))
    found = pd.DataFrame(rows, columns=["year", "family", "total", "ai", "counts"])
    if found.empty:
        raise Refusal(f"no publisher gives both AI and all data centres of {region} in one year.")
    newest: pd.DataFrame = found.loc[found["year"] == found["year"].max()]
    return newest.sort_values("ai", ascending=False, ignore_index=True)


def start(engineering: pd.DataFrame, parts: pd.DataFrame) -> Start:
    """Sales from the table dc_inputs and the year from `split`."""
    sold = engineering[engineering["parameter"] == "gpu_shipments_datacentre_million"]
    return Start({int(row.year): float(row.value) for row in sold.itertuples()}, int(parts["year"].iloc[0]))  # type: ignore[arg-type]


def inputs(engineering: pd.DataFrame, parts: pd.DataFrame) -> tuple[Input, ...]:
    """The fourteen inputs as ranges, in the order of `NAMES`. engineering: dc_inputs; parts: from `split`.

    Where publishers differ, the range goes from the lowest to the highest of them. Raises Refusal where the table has
    no such row.
    """

    def ends(parameter: str, scope: str | None = None) -> tuple[float, float, str]:
        rows = engineering[engineering["parameter"] == parameter]
        rows = rows if scope is None else rows[rows["scope"].str.contains(scope, regex=False)]
        if rows.empty:
            raise Refusal(f"the table dc_inputs has no {parameter}" + (f" for {scope}." if scope else "."))
        known = rows[["value", "low", "high"]].to_numpy(dtype=float)
        return float(np.nanmin(known)), float(np.nanmax(known)), "; ".join(dict.fromkeys(rows["publisher"]))

    supply, ahead = ends("ai_chip_supply_growth_per_year"), ends("accelerator_shipments_growth_factor")
    life, idle = ends("accelerator_service_life"), ends("ai_idle_power_share")
    a100, cluster = ends("server_max_power_kw", "A100"), ends("accelerator_all_in_it_w")
    training, inference = ends("ai_server_utilisation_training"), ends("ai_server_utilisation_inference")
    sites, work = ends("pue_ai_datacentre"), ends("ex_ai_compute_instance_growth_pct_per_year")
    saving = ends("ex_ai_energy_intensity_reduction_pct_per_year", "2024-2030")
    slowest = ahead[0] ** (1 / AHEAD_YEARS)
    pue = (AI_PUE_LOW, sites[1])
    year, rest = int(parts["year"].iloc[0]), _rest(parts, pue)
    times, sales = "times a year", "growth of sales of accelerators"
    return (
        Input("sales_growth_before", supply[0], supply[1], times, f"{sales} up to {year}", supply[2]),
        Input("sales_growth_after", slowest, supply[1], times, f"{sales} after {year}", f"{ahead[2]}; {supply[2]}"),
        Input("other_makers", 1.1, 1.5, "times", "power of all makers' accelerators over NVIDIA's", STATED),
        Input("installed", 0.85, 1.0, "share", "part of the accelerators sold that is in place and has power", STATED),
        Input("service_life", life[0], life[1], "years", "life of an accelerator", life[2]),
        Input(
            "watts", 1000 * a100[0] / ACCELERATORS_PER_SERVER, cluster[1], "W",
            "power of an accelerator with its server and network, when sales were last counted",
            f"A100 server; {cluster[2]}",
        ),
        Input("idle", idle[0], HIGH_INFERENCE, "share", "power when idle over full power", idle[2]),
        Input(
            "training_utilization", training[0] - 0.1, training[1] + 0.1, "share", "part of the time busy, in training",
            f"{training[2]}, give or take 0.1",
        ),
        Input(
            "inference_utilization", inference[0], HIGH_INFERENCE, "share", "part of the time busy, in inference",
            inference[2],
        ),
        Input("training_share", 0.3, 0.7, "share", "part of the accelerators that trains", STATED),
        Input("ai_pue", *pue, "ratio", "PUE of AI sites", sites[2]),
        Input("rest_twh", *rest, "TWh", f"data centres other than AI in {year}", "; ".join(parts["family"])),
        Input("rest_growth", work[0] / 100, work[1] / 100, "a year", "growth of the work done by the rest", work[2]),
        Input(
            "rest_saving", saving[0] / 100, saving[1] / 100, "a year", "energy saved per unit of that work", saving[2]
        ),
    )  # fmt: skip


def _rest(parts: pd.DataFrame, pue: tuple[float, float]) -> tuple[float, float]:
    """Lowest and highest TWh that publishers leave for everything but AI; a level of AI servers takes its PUE along."""
    servers = (parts["counts"] == str(Boundary.AI_SERVERS)).to_numpy()
    left = np.array([parts["total"] - parts["ai"] * np.where(servers, end, 1.0) for end in pue])
    return float(left.min()), float(left.max())


# ---------------------------------------------------------------- what follows


def draws(ranges: Sequence[Input], n: int, rng: np.random.Generator) -> dict[str, Floats]:
    """n draws of every input, each even over its range and independent of the others.

    That is an assumption, not a finding: the ends are published, what lies between them is not.
    """
    _distinct(ranges)
    return {one.name: rng.uniform(one.low, one.high, n) for one in ranges}


def middles(ranges: Sequence[Input]) -> dict[str, float]:
    """Every input half way between its ends."""
    _distinct(ranges)
    return {one.name: one.middle for one in ranges}


def swings(ranges: Sequence[Input], outcome: Callable[[Values], Floats]) -> pd.DataFrame:
    """What the outcome is with one input at either end and the others in the middle. A row: name, at_low, at_high."""
    centre = middles(ranges)
    ends = {one.name: [float(outcome({**centre, one.name: end})) for end in (one.low, one.high)] for one in ranges}
    return pd.DataFrame([(name, *pair) for name, pair in ends.items()], columns=["name", "at_low", "at_high"])


def rank(ranges: Sequence[Input], outcome: Callable[[Values], Floats], *, n: int = 1024, seed: int = 0) -> pd.DataFrame:
    """Which input decides: Sobol's shares of the variance of an outcome, the largest total first.

    outcome : from draws of the inputs to a value a draw; take its logarithm where inputs multiply
    n       : a power of two; the outcome is computed n × (inputs + 2) times
    A row: name, first (share that the input explains alone), total (with all it does together with others), and the
    half-widths of their bootstrap 95 % intervals, first_give and total_give. Inputs are even over their ranges and
    independent. Estimators: Saltelli et al. (2010) for both, as in SALib.

    Raises Refusal for an n that is no power of two, fewer than two inputs, and an outcome that does not vary.
    """
    from SALib.analyze import sobol as analyse  # takes seconds to import
    from SALib.sample import sobol as sample

    _distinct(ranges)
    if len(ranges) < 2:
        raise Refusal("a ranking needs two inputs at least.")
    if n < 64 or n & (n - 1):
        raise Refusal(f"the size of a Sobol sample is a power of two, 64 or more; given {n}, try 1024.")
    names = [one.name for one in ranges]
    problem = {"num_vars": len(names), "names": names, "bounds": [[one.low, one.high] for one in ranges]}
    points = sample.sample(problem, n, calc_second_order=False, seed=seed)
    found = np.asarray(outcome(dict(zip(names, points.T, strict=True))), dtype=float)
    if not np.isfinite(found).all() or np.ptp(found) == 0:
        raise Refusal("the outcome has no variance to share out, or is not a number everywhere.")
    shares = analyse.analyze(problem, found, calc_second_order=False, seed=seed)
    table = pd.DataFrame(
        {
            "name": names,
            "first": shares["S1"],
            "first_give": shares["S1_conf"],
            "total": shares["ST"],
            "total_give": shares["ST_conf"],
        }
    )
    return table.sort_values("total", ascending=False, ignore_index=True)


def fits(found: Energy, parts: pd.DataFrame, slack: float = 0.1) -> NDArray[np.bool_]:
    """Which draws of the starting year lie between what publishers give for AI. A draw need not meet any of them.

    parts: from `split`. The computers of AI may not be less than the lowest level of AI servers less the slack, nor the
    sites of AI more than the highest level of AI sites plus the slack; where no publisher gives one of the two, the
    other kind takes its place.
    """
    servers = parts.loc[parts["counts"] == str(Boundary.AI_SERVERS), "ai"]
    sites = parts.loc[parts["counts"] == str(Boundary.AI_SITES), "ai"]
    low = float((servers if len(servers) else sites).min()) * (1 - slack)
    high = float((sites if len(sites) else servers).max()) * (1 + slack)
    return np.asarray((found.ai_it >= low) & (found.ai <= high))


def meets(found: Energy, parts: pd.DataFrame, slack: float = 0.1) -> NDArray[np.bool_]:
    """Which draws of the starting year meet every publisher's level of AI, each by what it counts, within the slack."""
    servers = parts["counts"] == str(Boundary.AI_SERVERS)
    drawn = [found.ai_it if one else found.ai for one in servers]
    return np.asarray(
        np.all([abs(d / level - 1) <= slack for d, level in zip(drawn, parts["ai"], strict=True)], axis=0)
    )


def explained(cause: ArrayLike, outcome: ArrayLike, bins: int = 50) -> float:
    """Share of the variance of an outcome that is between bins (of equal count) of a cause: its first-order share.

    For draws at hand, also where the inputs depend on each other, as they do once draws are sorted out.
    """
    values = pd.Series(np.asarray(outcome, dtype=float))
    means = values.groupby(pd.qcut(np.asarray(cause, dtype=float), bins, labels=False)).transform("mean")
    return float(means.var() / values.var())


def required(
    values: Values, outcome: Callable[[Values], Floats], name: str, level: float, within: tuple[float, float]
) -> Floats:
    """For each draw of the other inputs, the value of one of them that leads to a level; nan where none does.

    within: where it is looked for; it may be wider than the input's range. The outcome has to be monotone there: the
    interval is halved until it is a billionth of itself. Raises Refusal for an unknown name, and where no draw leads
    there.
    """
    if name not in values:
        near = difflib.get_close_matches(name, list(values), n=1)
        raise Refusal(f"there is no input {name!r}." + (f" Did you mean {near[0]}?" if near else ""))
    shape = np.broadcast_shapes(*(np.shape(value) for value in values.values()))

    def above(value: Floats) -> NDArray[np.bool_]:
        return np.asarray(outcome({**values, name: value}) > level)

    low, high = (np.full(shape, float(end)) for end in within)
    at_low, at_high = above(low), above(high)
    reached = at_low != at_high
    if not reached.any():
        raise Refusal(f"{level:,.0f} is out of reach for {name} from {within[0]:g} to {within[1]:g}.")
    for _ in range(30):
        middle = (low + high) / 2
        same = above(middle) == at_low
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return np.asarray(np.where(reached, (low + high) / 2, np.nan))


def _distinct(ranges: Sequence[Input]) -> None:
    names = [one.name for one in ranges]
    if not names or len(set(names)) < len(names):
        raise Refusal("the inputs need names, and each its own.")
