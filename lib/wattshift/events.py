"""Event studies: what a share did around a day, beyond what its factors did.

**Normal return.** For every event the share's returns are regressed on a constant and the factors over the estimation
window: the last `estimation_days` clean trading days that end `gap_days` before the event window. *Clean* days are
those on which the share traded and that lie in no event window of the same share, so an earlier deal cannot inflate
the yardstick of a later one. A share listed not long ago may have fewer of them, but not fewer than `least_days`.

**Abnormal return.** AR_t = R_t - x_t'b on the days of the event window; CAR is their sum, AAR and CAAR are means over
events (MacKinlay 1997, J. Economic Literature 35). Simple returns are summed, not compounded.

**Yardstick.** The variance comes from the estimation window alone, with the error of forecasting from estimated
coefficients (Patell 1976, J. Accounting Research 14; for sums Mikkelson & Partch 1988, J. Financial and Quantitative
Analysis 23): with X the window's regressors and s² its residual variance on M - K degrees of freedom,

    var AR_t = s² (1 + x_t'(X'X)^-1 x_t),      var CAR = s² (L + x'(X'X)^-1 x),  x the sum of x_t over the L days.

A `Panel` holds the fitted model for every share and *every* day, so that thousands of placebo studies are lookups: see
`eventtests`. Returns and factors are fractions per day. Nothing here reads a file, draws, or keeps state.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wattshift import loadings
from wattshift.refusal import Refusal

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Treatment = Literal["include", "exclude", "flag"]

FEWEST_ESTIMATION_DAYS = 20  # below, a variance is off by a third or more one time in three
MOST_INFLATION = 1e4  # variance inflation above which factors count as one (correlation above 0.99995)
SMALLEST_EIGENVALUE = 1e-6  # of the scaled X'X of one window: below, its coefficients are noise
LONGEST_WINDOW = 250  # trading days on either side of an event
SECTOR = "SECTOR"  # ticker of events that hit every share at once
KINDS = {
    "hosting_lease": "lease",
    "expansion": "lease",
    "gpu_cloud_contract": "cloud",
    "takeover_report": "takeover",
    "takeover_bid": "takeover",
    "takeover_agreement": "takeover",
    "takeover_vote_rejected": "takeover vote",
    "financing": "financing",
    "equity_investment": "financing",
    "pivot_announcement": "own plan",
    "site_acquisition": "own plan",
    "acquisition": "own plan",
    "sector_shock": "sector",
    "peer_deal": "sector",
}
CONTRACTS = ("lease", "cloud")  # kinds by which a customer pays
MONEY_WORDS = "offering|convertible|notes|bond|revolver|financing"  # debt or shares sold for cash
RIGHTS_WORDS = "to buy .* shares"  # a customer may become a shareholder; so may one with a stake in the table
PRICE_WORDS = "kept because the series|shares up about"  # the row is there, or has its day, because the share jumped


@dataclass(frozen=True)
class Window:
    """The three windows of an event study, in trading days.

    estimation_days : clean days the normal return is estimated on
    gap_days        : days left out between them and the event window
    first, last     : event window around the event day 0, both included
    least_days      : clean days without which a share listed not long ago is left out
    Raises Refusal for an estimation window too short to give a variance, or an event window that is none.

    >>> Window(first=-1, last=1).length
    3
    """

    estimation_days: int = 120
    gap_days: int = 10
    first: int = -1
    last: int = 1
    least_days: int = 40

    def __post_init__(self) -> None:
        """Refuse what cannot be estimated."""
        for name in ("estimation_days", "least_days"):
            days = getattr(self, name)
            if days < FEWEST_ESTIMATION_DAYS:
                raise Refusal(
                    f"{name} cannot be {days}: a variance needs an estimation window of at least "
                    f"{FEWEST_ESTIMATION_DAYS} trading days, for example 120."
                )
        if self.gap_days < 0:
            raise Refusal(f"gap_days cannot be {self.gap_days}: it counts days left out, 0 or more, for example 10.")
        if not -LONGEST_WINDOW <= self.first <= self.last <= LONGEST_WINDOW:
            raise Refusal(
                f"the event window cannot run from {self.first} to {self.last}: give a first day not after the last, "
                f"both within {LONGEST_WINDOW} trading days of the event, for example -1 and 1."
            )

    @property
    def length(self) -> int:
        """Days of the event window."""
        return self.last - self.first + 1

    @property
    def offsets(self) -> Ints:
        """The days of the event window, counted from the event."""
        return np.arange(self.first, self.last + 1)

    def moved(self, first: int, last: int) -> "Window":
        """Another event window on the same estimation window, as far as the gap allows.

        >>> Window(first=-1, gap_days=10).moved(-10, 20).gap_days
        1
        """
        gap = max(self.gap_days + first - self.first, 0)
        return Window(self.estimation_days, gap, first, last, self.least_days)

    @property
    def needed(self) -> int:
        """Clean days without which there is no study."""
        return min(self.least_days, self.estimation_days)


# ---- the deals


def read_deals(deals: pd.DataFrame) -> pd.DataFrame:
    """The table ai_deals with what an event study asks of a row; same rows and order, columns added:

    kind          lease, cloud, takeover, takeover vote, financing, own plan, sector: see `KINDS`
    rank          "first" or "later" among the contracts (lease, cloud) of the share in the table, by day; else blank
    confounded    other news on the same days is recorded
    partly        not wholly verified (verified is "partial" or "no")
    money         debt or shares sold for cash on the same days: the deal is financing, or its recorded other news names
                  one. What a customer may come to own, warrants or a right to buy shares, brings no cash that day
    rights        such warrants or rights: a stake is in the table, or the recorded other news names one
    by_price      the row, or its day, was found from the share's own jump: no test of returns can rest on it
    Raises Refusal for an event type that is not known.

    >>> read_deals(pd.DataFrame({"ticker": ["A", "A"], "event_date": pd.to_datetime(["2025-01-02", "2025-02-03"]),
    ...     "event_type": ["hosting_lease", "expansion"], "verified": ["yes", "no"], "timing_basis": ["", "inferred"],
    ...     "confounders": ["a bond", None], "notes": ["", ""], "equity_stake_pct": [None, 8.0],
    ... }))[["rank", "money", "rights", "by_price"]].to_numpy().tolist()
    [['first', True, False, False], ['later', False, True, True]]
    """
    table = deals.copy()
    for kind in table["event_type"]:
        if kind not in KINDS:
            raise Refusal(f"there is no event type {kind!r}{_nearest(kind, KINDS)}. Known: {', '.join(KINDS)}.")
    table["kind"] = table["event_type"].map(KINDS)
    contract = table["kind"].isin(CONTRACTS)
    order = table[contract].sort_values("event_date", kind="stable").groupby("ticker").cumcount()
    table["rank"] = order.reindex(table.index).map(lambda place: "first" if place == 0 else "later", na_action="ignore")
    table["confounded"] = table["confounders"].fillna("").str.strip().ne("")
    table["partly"] = table["verified"].ne("yes")
    news = table["confounders"].fillna("")
    table["money"] = news.str.contains(MONEY_WORDS, case=False) | table["kind"].eq("financing")
    table["rights"] = news.str.contains(RIGHTS_WORDS, case=False) | table["equity_stake_pct"].notna()
    told = table["notes"].fillna("").str.contains(PRICE_WORDS, case=False)
    table["by_price"] = told | table["timing_basis"].eq("inferred")
    return table


def choose(
    deals: pd.DataFrame,
    kinds: Sequence[str] = CONTRACTS,
    confounded: Treatment = "exclude",
    partly: Treatment = "exclude",
    by_price: Treatment = "exclude",
) -> pd.DataFrame:
    """The deals of these kinds, each doubtful trait included, excluded or flagged.

    include : counted like any other; exclude : dropped; flag : kept in the list and marked, left out of averages
    deals   : from `read_deals`. Returns its rows with a column `flagged`; average over the rows where it is False.
    Raises Refusal for an unknown kind or treatment, and where nothing is left.
    """
    known = set(KINDS.values())
    for kind in kinds:
        if kind not in known:
            raise Refusal(
                f"there is no kind of deal {kind!r}{_nearest(kind, known)}. Known: {', '.join(sorted(known))}."
            )
    flagged = pd.Series(False, index=deals.index)
    keep = deals["kind"].isin(list(kinds))
    for trait, treatment in (("confounded", confounded), ("partly", partly), ("by_price", by_price)):
        if treatment not in ("include", "exclude", "flag"):
            raise Refusal(f"{trait} cannot be {treatment!r}: give include, exclude or flag.")
        keep &= ~deals[trait] if treatment == "exclude" else True
        flagged |= deals[trait] if treatment == "flag" else False
    if not (keep & ~flagged).any():
        there = deals["kind"].isin(list(kinds)).any()
        raise Refusal(
            f"no deal is left of kind {', '.join(kinds)} with confounded={confounded}, partly={partly}, "
            f"by_price={by_price}: {'include more' if there else 'none of these kinds can be studied'}."
        )
    return deals.assign(flagged=flagged)[keep]


def value_per_mw(deals: pd.DataFrame) -> pd.DataFrame:
    """Contract value per megawatt of the leases that state both, USD million; one row per deal and measure.

    deals : from `read_deals`. Columns: those of the deal, measure ("critical IT" or "gross": never to be mixed), mw,
    usd_mn_per_mw (over the base term), usd_mn_per_mw_year. Cloud contracts hold the machines and are left out, as are
    bids, financing and purchases, whose amount is no contract revenue. A deal that states both powers has two rows.

    >>> one = {"kind": ["lease"], "mw_critical_it": [200.0], "mw_gross": [250.0], "contract_value_usd_bn": [3.7],
    ...        "term_years": [10.0]}
    >>> value_per_mw(pd.DataFrame(one))[["measure", "usd_mn_per_mw", "usd_mn_per_mw_year"]].round(2).to_numpy().tolist()
    [['critical IT', 18.5, 1.85], ['gross', 14.8, 1.48]]
    """
    leases = deals[deals["kind"].eq("lease") & deals["contract_value_usd_bn"].notna()]
    parts = []
    for measure, column in (("critical IT", "mw_critical_it"), ("gross", "mw_gross")):
        part = leases[leases[column].gt(0)]
        value = part["contract_value_usd_bn"] * 1_000 / part[column]
        parts.append(
            part.assign(
                measure=measure, mw=part[column], usd_mn_per_mw=value, usd_mn_per_mw_year=value / part["term_years"]
            )
        )
    return pd.concat(parts, ignore_index=True)


# ---- the model of every share on every day


@dataclass(frozen=True)
class Panel:
    """The normal-return model of every share as of every day. N shares, T days, K regressors (a constant first).

    days      : the T trading days; tickers : the N names; regressors : the K names
    y, x      : returns (T, N) and regressors (T, K), fractions; NaN where a share is not listed
    usable    : (T, N), return and all factors are there
    clean     : (T, N), usable and in no event window of the share: the days models are estimated on
    free      : (N, T), the event window around the day is usable and clean: a placebo may fall there
    eligible  : (N, T), the event window is usable and the model can be estimated
    coef      : (N, T, K); inverse : (X'X)^-1, (N, T, K, K); sigma : residual sd (N, T); dof : M - K (N, T)
    clean_days : (N, T), places of the clean days of each share in order, the end filled with -1
    low, high : (N, T), the estimation window as places in `clean_days`, high excluded
    """

    window: Window
    days: pd.DatetimeIndex
    tickers: tuple[str, ...]
    regressors: tuple[str, ...]
    y: Floats
    x: Floats
    usable: Bools
    clean: Bools
    free: Bools
    eligible: Bools
    coef: Floats
    inverse: Floats
    sigma: Floats
    dof: Ints
    low: Ints
    high: Ints
    clean_days: Ints


def in_windows(events: pd.DataFrame, days: pd.DatetimeIndex, tickers: Sequence[str], window: Window) -> Bools:
    """Which share-days lie in an event window of that share, (T, N); a SECTOR event marks every share.

    events : columns ticker, event_date; those of shares or days that are not there mark nothing
    """
    mask = np.zeros((len(days), len(tickers)), dtype=bool)
    places = days.get_indexer(pd.DatetimeIndex(events["event_date"]))
    for ticker, place in zip(events["ticker"], places, strict=True):
        if place >= 0:
            span = slice(max(place + window.first, 0), max(place + window.last + 1, 0))
            for column in range(len(tickers)) if ticker == SECTOR else [*_places(tickers, ticker)]:
                mask[span, column] = True
    return mask


def panel(
    returns: pd.DataFrame,
    factors: pd.DataFrame,
    window: Window,
    blocked: Bools | None = None,
    *,
    alpha: bool = True,
    check: bool = True,
) -> Panel:
    """Estimate the normal-return model of every share for an event on every day, by least squares on rolling windows.

    returns : days x shares, fractions; factors : days x factors, fractions (no constant), same days
    blocked : (T, N) share-days left out of estimation and closed to placebos, from `in_windows`
    alpha   : a constant in the model. It expects a share that soared through its estimation window to soar on, by the
              day, which weighs on long event windows: False expects of a share what its factors did, and no more
    check   : refuse factors that are constant or collinear over all days (False saves time on resampled panels)
    Raises Refusal for days that do not match, rise or repeat, no factor, constant or collinear factors.
    """
    days = pd.DatetimeIndex(returns.index)
    if not days.equals(pd.DatetimeIndex(factors.index)):
        raise Refusal("returns and factors must have the same days, in the same order.")
    if not (days.is_monotonic_increasing and days.is_unique):
        raise Refusal("the days of the returns must rise, each once.")
    if check:
        _check_factors(factors)
    y = returns.to_numpy(float)
    x = np.column_stack([np.ones((len(days), int(alpha))), factors.to_numpy(float)])
    usable: Bools = np.isfinite(y) & np.isfinite(x).all(axis=1)[:, None]
    clean: Bools = usable if blocked is None else usable & ~blocked
    shape, width = (y.shape[1], len(days)), x.shape[1]
    out: dict[str, NDArray[Any]] = {
        "coef": np.full((*shape, width), np.nan),
        "inverse": np.full((*shape, width, width), np.nan),
        "sigma": np.full(shape, np.nan),
        "dof": np.zeros(shape, dtype=np.int64),
        "low": np.zeros(shape, dtype=np.int64),
        "high": np.zeros(shape, dtype=np.int64),
    }
    last_day = np.arange(len(days)) + window.first - window.gap_days  # first day after the estimation window
    clean_days = np.full(shape, -1)
    for i in range(shape[0]):
        places = np.flatnonzero(clean[:, i])
        clean_days[i, : len(places)] = places
        for name, values in _rolling(x[places], y[places, i], np.searchsorted(places, last_day), window).items():
            out[name][i] = values
    inside = np.stack([_whole(usable[:, i], window) for i in range(shape[0])])
    free = np.stack([_whole(clean[:, i], window) for i in range(shape[0])])
    eligible = inside & np.isfinite(out["sigma"])
    return Panel(
        window=window,
        days=days,
        tickers=tuple(map(str, returns.columns)),
        regressors=(*(["constant"] if alpha else []), *map(str, factors.columns)),
        y=y,
        x=x,
        usable=usable,
        clean=clean,
        free=free & eligible,
        eligible=eligible,
        clean_days=clean_days,
        **out,
    )


def _check_factors(factors: pd.DataFrame) -> None:
    whole = factors.astype(float).dropna()
    if whole.shape[1] == 0 or len(whole) < 2:
        raise Refusal("an event study needs one factor at least, with returns on some days.")
    for name in whole:
        if np.ptp(whole[name].to_numpy()) == 0:
            raise Refusal(
                f"the factor {name} is constant over its {len(whole)} days, so it explains nothing: leave it out."
            )
    inflated = loadings.inflation(whole)
    if float(inflated.max()) > MOST_INFLATION:
        one = str(inflated.idxmax())
        alike = whole.corr()[one].drop(one).abs()
        raise Refusal(
            f"the factors {one} and {alike.idxmax()} are collinear (correlation {alike.max():.4f}): drop one of them."
        )


def _rolling(x: Floats, y: Floats, high: Ints, window: Window) -> dict[str, NDArray[Any]]:
    """Least squares on the `estimation_days` rows before each of `high`; NaN where too few or degenerate."""
    low = np.maximum(high - window.estimation_days, 0)
    count, width = high - low, x.shape[1]

    def windowed(values: Floats) -> Floats:
        total = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])
        return np.asarray(total[high] - total[low])

    xx = windowed(x[:, :, None] * x[:, None, :])
    xy = windowed(x * y[:, None])
    yy = windowed(y[:, None] ** 2)[:, 0]
    scale = np.sqrt(np.einsum("tkk->tk", xx))
    good = (count >= window.needed) & (count > width + 2) & (scale > 0).all(axis=1)
    scale = np.where(good[:, None], scale, 1.0)
    unit = xx / (scale[:, :, None] * scale[:, None, :])
    unit[~good] = np.eye(width)
    good &= np.linalg.eigvalsh(unit)[:, 0] > SMALLEST_EIGENVALUE
    unit[~good] = np.eye(width)
    inverse = np.linalg.inv(unit) / (scale[:, :, None] * scale[:, None, :])
    coef = np.einsum("tkl,tl->tk", inverse, xy)
    dof = np.maximum(count - width, 1)
    variance = (yy - np.einsum("tk,tk->t", coef, xy)) / dof
    good &= variance > 1e-12 * np.maximum(yy / np.maximum(count, 1), 1e-30)  # a constant return leaves rounding only
    nothing = ~good
    coef[nothing], inverse[nothing] = np.nan, np.nan
    sigma = np.sqrt(np.where(good, variance, np.nan))
    return {"coef": coef, "inverse": inverse, "sigma": sigma, "dof": dof, "low": low, "high": high}


def _whole(good: Bools, window: Window) -> Bools:
    """Days around which every day of the event window is good."""
    places = np.arange(len(good))[:, None] + window.offsets
    inside = (places >= 0) & (places < len(good))
    whole: Bools = (inside & good[np.clip(places, 0, len(good) - 1)]).all(axis=1)
    return whole


# ---- studies: one, or thousands at once


@dataclass(frozen=True)
class Places:
    """Where n events lie, or many placebo sets of n events (leading axes B...), and what their models left unexplained.

    ticker, day : places in the panel, (B..., n)
    """

    panel: Panel
    ticker: Ints
    day: Ints

    @cached_property
    def event_days(self) -> Ints:
        """Places of the days of the event windows, (B..., n, L)."""
        return self.day[..., None] + self.panel.window.offsets

    @cached_property
    def estimation_days(self) -> Ints:
        """Places of the days of the estimation windows, (B..., n, M), the newest last; -1 where there are fewer."""
        longest = self.panel.window.estimation_days
        low, high = self.panel.low[self.ticker, self.day], self.panel.high[self.ticker, self.day]
        place = high[..., None] - longest + np.arange(longest)
        days = self.panel.clean_days[self.ticker[..., None], np.maximum(place, 0)]
        return np.where(place >= low[..., None], days, -1)

    @cached_property
    def residuals(self) -> Floats:
        """Residuals of the estimation windows, (B..., n, M), the newest last; NaN where there are fewer."""
        return self._residuals(self.ticker, self.day, self.estimation_days)

    @cached_property
    def correlations(self) -> Floats:
        """Correlation of the residuals of events whose windows share days, (B..., n, n): 1 on the diagonal, else 0.

        Taken over the days of the first event's estimation window on which both shares have clean returns.
        """
        n, length = self.day.shape[-1], self.panel.window.length
        near = np.abs(self.day[..., :, None] - self.day[..., None, :]) < length
        out = np.zeros(near.shape)
        out[..., np.arange(n), np.arange(n)] = 1.0
        pairs = np.nonzero(near & np.triu(np.ones((n, n), dtype=bool), 1))
        if len(pairs[0]):
            first, second = (*pairs[:-2], pairs[-2]), (*pairs[:-2], pairs[-1])
            days = self.estimation_days[first]
            a, b = (self._residuals(self.ticker[of], self.day[of], days) for of in (first, second))
            both = np.isfinite(a) & np.isfinite(b)
            a, b = np.where(both, a, 0.0), np.where(both, b, 0.0)
            rho = (a * b).sum(axis=-1) / np.sqrt(np.maximum((a**2).sum(axis=-1) * (b**2).sum(axis=-1), 1e-30))
            out[pairs] = rho
            out[(*pairs[:-2], pairs[-1], pairs[-2])] = rho
        return out

    def _residuals(self, ticker: Ints, day: Ints, on: Ints) -> Floats:
        """Residuals of the models of (ticker, day) on other days; NaN at -1 and on days that are not clean."""
        share = ticker[..., None]
        fitted = np.einsum("...mk,...k->...m", self.panel.x[on], self.panel.coef[ticker, day])
        known = (on >= 0) & self.panel.clean[on, share]
        return np.where(known, self.panel.y[on, share] - fitted, np.nan)


@dataclass(frozen=True)
class Sample:
    """Abnormal returns of n events, or of many placebo sets of n events (leading axes B...). L days in the window.

    ar, ar_sd   : abnormal returns and their forecast sd, (B..., n, L)
    car, car_sd : their sum and its forecast sd, (B..., n); dof : (B..., n)
    """

    places: Places
    ar: Floats
    ar_sd: Floats
    car: Floats
    car_sd: Floats
    dof: Ints

    @property
    def panel(self) -> Panel:
        """The models of every share on every day."""
        return self.places.panel

    @property
    def scar(self) -> Floats:
        """CARs in units of their own sd: Student t with `dof` degrees of freedom where nothing happened."""
        return self.car / self.car_sd

    def scaled(self, factor: Floats | float, added: float = 0.0) -> "Sample":
        """The same sample, abnormal returns times `factor` (one number or one per event), every CAR `added` higher."""
        ar = self.ar * np.asarray(factor)[..., None] + added / self.ar.shape[-1]
        return replace(self, ar=ar, car=ar.sum(axis=-1))

    def part(self, chosen: Bools) -> "Sample":
        """Some of the events; chosen : (n,) booleans."""
        one, two = (..., chosen), (..., chosen, slice(None))
        places = Places(self.panel, self.places.ticker[one], self.places.day[one])
        return Sample(places, self.ar[two], self.ar_sd[two], self.car[one], self.car_sd[one], self.dof[one])


def gather(panel: Panel, ticker: Ints, day: Ints) -> Sample:
    """The abnormal returns of events given as places in the panel, (B..., n); every one must be eligible."""
    places = Places(panel, ticker, day)
    coef, inverse, sigma = panel.coef[ticker, day], panel.inverse[ticker, day], panel.sigma[ticker, day]
    x = panel.x[places.event_days]
    ar = panel.y[places.event_days, ticker[..., None]] - np.einsum("...lk,...k->...l", x, coef)
    total = x.sum(axis=-2)
    leverage = np.einsum("...lk,...km,...lm->...l", x, inverse, x, optimize=True)
    summed = np.einsum("...k,...km,...m->...", total, inverse, total, optimize=True)
    ar_sd = sigma[..., None] * np.sqrt(1 + leverage)
    car_sd = sigma * np.sqrt(panel.window.length + summed)
    return Sample(places, ar, ar_sd, ar.sum(axis=-1), car_sd, panel.dof[ticker, day])


def left_out(panel: Panel, events: pd.DataFrame, every: pd.DataFrame | None = None) -> "pd.Series[str]":
    """Why each event cannot be studied, in words; an empty text where it can. Index of `events`.

    events : columns event_id, ticker, event_date
    every  : all known events (by default `events`): an event whose window shares days with the window of an earlier
             one of the same share is left out, since both would count the same returns
    """
    every = events if every is None else every
    length = panel.window.length
    places = pd.Series(panel.days.get_indexer(pd.DatetimeIndex(every["event_date"])), index=every.index)
    reasons = {}
    for label, event in events.iterrows():
        ticker = str(event["ticker"])
        if ticker not in panel.tickers:
            told = "it hits every share" if ticker == SECTOR else f"{ticker} is not among the shares studied"
            reasons[label] = told
            continue
        reason = _why_not(panel, ticker, pd.Timestamp(event["event_date"]))
        if not reason:
            place = _place(panel.days, pd.Timestamp(event["event_date"]))
            same = every["ticker"].eq(ticker) & places.ge(0) & every["event_id"].ne(event["event_id"])
            earlier = (places < place) | ((places == place) & (every["event_id"] < event["event_id"]))
            near = every[same & earlier & (place - places < length)]
            if len(near):
                reason = f"its window shares days with that of {near['event_id'].iloc[-1]}"
        reasons[label] = reason
    return pd.Series(reasons, dtype=object)


def study(panel: Panel, events: pd.DataFrame) -> Sample:
    """The abnormal returns of dated events, in their order.

    events : columns ticker, event_date (a trading day), and event_id for the words of a refusal
    Raises Refusal, naming the event, for a ticker that is not there (with the nearest one), an event outside the data,
    an estimation window with too few days or constant returns: `left_out` tells beforehand.
    """
    if not len(events):
        raise Refusal("there is no event to study.")
    for _, event in events.iterrows():
        reason = _why_not(panel, str(event["ticker"]), pd.Timestamp(event["event_date"]))
        if reason:
            raise Refusal(f"{event.get('event_id', event['ticker'])} cannot be studied: {reason}.")
    ticker = np.array([panel.tickers.index(name) for name in events["ticker"]])
    return gather(panel, ticker, panel.days.get_indexer(pd.DatetimeIndex(events["event_date"])))


def _why_not(panel: Panel, ticker: str, date: pd.Timestamp) -> str:
    if ticker not in panel.tickers:
        return f"there is no share {ticker!r}{_nearest(ticker, panel.tickers)}"
    first, last, window = panel.days[0], panel.days[-1], panel.window
    if not first <= date <= last:
        return f"{date:%Y-%m-%d} lies outside the data, {first:%Y-%m-%d} to {last:%Y-%m-%d}"
    share, place = panel.tickers.index(ticker), _place(panel.days, date)
    if place < 0:
        return f"{date:%Y-%m-%d} is not a trading day of the data"
    span = place + window.offsets
    if span[0] < 0 or span[-1] >= len(panel.days) or not panel.usable[span, share].all():
        return f"{ticker} has no returns on some days of its event window"
    count = int(panel.high[share, place] - panel.low[share, place])
    if count < window.needed:
        return f"its estimation window has {count} clean days and {window.needed} are needed"
    if panel.eligible[share, place]:
        return ""
    flat = np.ptp(panel.y[panel.clean_days[share, panel.low[share, place] : panel.high[share, place]], share]) == 0
    return f"over its estimation window {'the returns are constant' if flat else 'the factors are collinear'}"


def car_table(events: pd.DataFrame, sample: Sample) -> pd.DataFrame:
    """One row per event: its own columns and day_return, ar0 (both of day 0), car, car_sd, scar, days, beta_*.

    Returns are fractions; days counts the estimation window; car_sd is the forecast sd of the CAR. ar0 is NaN where
    the event window does not hold day 0.
    """
    at_zero = np.flatnonzero(sample.panel.window.offsets == 0)
    ar0 = sample.ar[:, at_zero[0]] if len(at_zero) else np.full(len(events), np.nan)
    coef = sample.panel.coef[sample.places.ticker, sample.places.day]
    betas = {f"beta_{name}": coef[:, k] for k, name in enumerate(sample.panel.regressors) if name != "constant"}
    return events.assign(
        day_return=sample.panel.y[sample.places.day, sample.places.ticker],
        ar0=ar0,
        car=sample.car,
        car_sd=sample.car_sd,
        scar=sample.scar,
        days=sample.dof + len(sample.panel.regressors),
        **betas,
    )


def average_path(sample: Sample) -> pd.DataFrame:
    """AAR and CAAR, means over the events by day of the event window: index offset, columns aar, caar (fractions)."""
    aar = sample.ar.mean(axis=-2)
    index = pd.Index(sample.panel.window.offsets, name="offset")
    return pd.DataFrame({"aar": aar, "caar": np.cumsum(aar)}, index=index)


def _place(days: pd.DatetimeIndex, date: pd.Timestamp) -> int:
    return int(days.get_indexer(pd.DatetimeIndex([date]))[0])


def _places(names: Sequence[str], name: str) -> list[int]:
    return [names.index(name)] if name in names else []


def _nearest(name: str, known: Iterable[str] | Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, [*known], n=1, cutoff=0.0)
    return f"; did you mean {near[0]!r}?" if near else ""
