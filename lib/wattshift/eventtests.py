"""Tests of an event study, each for one study or for thousands of placebo studies at once, and the size they have here.

Every test takes a `Sample` with leading axes B... and gives (statistic, two-sided p) of shape B.... n events, SCAR_i =
CAR_i over its forecast sd, L days in the window, M in the estimation window.

    cross-sectional t    mean CAR / (sd / sqrt n), t with n - 1: MacKinlay 1997, variance across events
    Patell               sum SCAR / sqrt(sum dof/(dof - 2)), normal: Patell 1976; one variance before and after
    BMP                  mean SCAR / (sd / sqrt n), t with n - 1: Boehmer, Musumeci & Poulsen 1991; events may be louder
    Kolari-Pynnönen      BMP sqrt((1 - r)/(1 + (n - 1) r)): Kolari & Pynnönen 2010; r the mean correlation of CARs, from
                         residuals, for windows that share only some days in proportion to those (Kolari, Pape &
                         Pynnönen 2018)
    Corrado rank         ranks over estimation and event days, mean over the window: Corrado 1989
    generalized rank     the whole CAR ranked among the days of the estimation window, GRANK-T: Kolari & Pynnönen 2011
    sign                 share of positive CARs against that of the estimation window: Cowan 1992
    calendar-time        events of one day are one portfolio; mean over days of its standardized return, t over days:
                         Jaffe 1974, Mandelker 1974
    permutation of dates BMP's statistic among those of the same shares on random days, events close in time together
    wild bootstrap       signs of the SCARs flipped, events close in time together: Rademacher weights with the null
                         imposed (Wu 1986, Cameron, Gelbach & Miller 2008), all 2^G of them where that is few

A p-value is only as good as the size behind it: `verdicts` re-dates the whole event set thousands of times
within the sample, so that tails, listing dates, clusters in time and correlation between shares are the sample's own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from wattshift.events import Bools, Floats, Ints, Panel, Sample, average_path, gather
from wattshift.refusal import Refusal

Result = tuple[Floats, Floats]
FEWEST = 4  # clusters in time below which a variance across events says nothing, so that no test holds its size
SIGNS = 2_000  # sign vectors in each study of a simulated size: fewer than behind a p that is read, for speed
LEVEL = 0.05  # of every test whose size is asked
BATCH = 250  # placebo studies gathered at once, to bound memory
ENUMERATED = 12  # clusters up to which all 2^G sign vectors are taken


# ---- tests with a closed form


def cross_sectional_t(sample: Sample) -> Result:
    """Mean CAR over its cross-sectional standard error."""
    return _student(sample.car)


def patell(sample: Sample) -> Result:
    """Standardized residual test: SCARs have the variance that the estimation window promises."""
    z = sample.scar.sum(axis=-1) / np.sqrt((sample.dof / np.maximum(sample.dof - 2, 1)).sum(axis=-1))
    return z, 2 * stats.norm.sf(np.abs(z))


def bmp(sample: Sample) -> Result:
    """Standardized cross-sectional test: the variance of SCARs is taken from the events themselves."""
    return _student(sample.scar)


def kolari_pynnonen(sample: Sample) -> Result:
    """BMP, adjusted for correlation between events whose windows share days."""
    n, length, day = sample.scar.shape[-1], sample.panel.window.length, sample.places.day
    shared = np.maximum(length - np.abs(day[..., :, None] - day[..., None, :]), 0) / length
    r = ((sample.places.correlations * shared).sum(axis=(-2, -1)) - n) / (n * (n - 1))
    t = bmp(sample)[0] * np.sqrt((1 - r) / np.maximum(1 + (n - 1) * r, 1e-9))
    return t, 2 * stats.t.sf(np.abs(t), n - 1)


def corrado(sample: Sample) -> Result:
    """Rank test over estimation and event days together, ranks scaled for missing days; mean over the window."""
    both = np.concatenate([sample.places.residuals, sample.ar], axis=-1)
    mean, weight = _mean_ranks(both)
    spread = np.sqrt((weight * mean**2).sum(axis=-1) / (weight > 0).sum(axis=-1))
    length = sample.ar.shape[-1]
    z = mean[..., -length:].sum(axis=-1) / (np.sqrt(length) * spread)
    return z, 2 * stats.norm.sf(np.abs(z))


def generalized_rank(sample: Sample) -> Result:
    """GRANK-T: the re-standardized SCAR takes one place among the standardized residuals of the estimation window."""
    scar = sample.scar / sample.scar.std(axis=-1, ddof=1, keepdims=True)
    scaled = sample.places.residuals / sample.panel.sigma[sample.places.ticker, sample.places.day][..., None]
    mean, weight = _mean_ranks(np.concatenate([scaled, scar[..., None]], axis=-1))
    days = (weight > 0).sum(axis=-1)
    z = mean[..., -1] / np.sqrt((weight * mean**2).sum(axis=-1) / days)
    t = z * np.sqrt((days - 2) / np.maximum(days - 1 - z**2, 1e-9))
    return t, 2 * stats.t.sf(np.abs(t), days - 2)


def sign(sample: Sample) -> Result:
    """Generalized sign test: how many CARs are positive, against the share of positive residuals beforehand."""
    n = sample.car.shape[-1]
    share = np.nanmean(np.where(np.isnan(sample.places.residuals), np.nan, sample.places.residuals > 0), axis=-1).mean(
        axis=-1
    )
    z = ((sample.car > 0).sum(axis=-1) - n * share) / np.sqrt(n * share * (1 - share))
    return z, 2 * stats.norm.sf(np.abs(z))


def calendar_time(sample: Sample) -> Result:
    """Portfolio of all events in their window on a day: mean standardized return over its days, t over days."""
    scaled = sample.ar / sample.ar_sd
    days = sample.places.event_days
    same = (days[..., :, :, None, None] == days[..., None, None, :, :]).astype(float)
    total = np.einsum("...isju,...ju->...is", same, scaled)
    present = same.sum(axis=-1)  # event j is in its window on the day of (i, s)
    count = present.sum(axis=-1)
    variance = np.einsum("...isj,...jk,...isk->...is", present, sample.places.correlations, present, optimize=True)
    portfolio = total / np.sqrt(np.maximum(variance, 1e-9))
    number = (1 / count).sum(axis=(-2, -1))  # of different days
    mean = (portfolio / count).sum(axis=(-2, -1)) / number
    squares = ((portfolio - mean[..., None, None]) ** 2 / count).sum(axis=(-2, -1))
    t = mean / np.sqrt(squares / (number - 1) / number)
    return t, 2 * stats.t.sf(np.abs(t), number - 1)


CLOSED_FORM: dict[str, Callable[[Sample], Result]] = {
    "cross-sectional t": cross_sectional_t,
    "Patell": patell,
    "BMP": bmp,
    "Kolari-Pynnönen": kolari_pynnonen,
    "Corrado rank": corrado,
    "generalized rank": generalized_rank,
    "sign": sign,
    "calendar-time portfolio": calendar_time,
}
PERMUTATION, WILD = "permutation of dates", "wild bootstrap"
TESTS = (*CLOSED_FORM, PERMUTATION, WILD)
HEADLINE = (
    "Kolari-Pynnönen",
    "calendar-time portfolio",
    PERMUTATION,
    WILD,
)  # reject at 5 % in 4 to 6 % here: benchmarks/events.csv


def _student(values: Floats) -> Result:
    n = values.shape[-1]
    t = values.mean(axis=-1) / (values.std(axis=-1, ddof=1) / np.sqrt(n))
    return t, 2 * stats.t.sf(np.abs(t), n - 1)


def _mean_ranks(values: Floats) -> tuple[Floats, Floats]:
    """Mean over events of the demeaned scaled ranks on each day, and the share of events that has that day.

    values : (B..., n, T), NaN where an event lacks a day. Ranks run within each event, scaled to (-1/2, 1/2).
    """
    known = np.isfinite(values)
    order = np.argsort(values, axis=-1)  # NaN last
    rank = np.empty(values.shape)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(1.0, values.shape[-1] + 1), values.shape), axis=-1)
    scaled = np.where(known, rank / (known.sum(axis=-1, keepdims=True) + 1) - 0.5, 0.0)
    count = known.sum(axis=-2)
    return scaled.sum(axis=-2) / np.maximum(count, 1), count / values.shape[-2]


# ---- tests by resampling


def clusters(day: Ints, length: int) -> Ints:
    """Label of each event's cluster: events whose windows share days, directly or through others, have one label.

    >>> clusters(np.array([10, 50, 12, 13]), 3).tolist()
    [0, 1, 0, 0]
    """
    order = np.argsort(day, kind="stable")
    label = np.empty(len(day), dtype=np.int64)
    label[order] = np.concatenate([[0], np.cumsum(np.diff(day[order]) >= length)])
    return label


@dataclass(frozen=True)
class Layout:
    """How a set of events may be re-dated: clusters in time move as one, each to days that suit all of its shares.

    ticker : (n,); offset : days after the cluster's first event (n,); cluster : (n,)
    starts : for each cluster, the days its first event may be moved to
    """

    ticker: Ints
    offset: Ints
    cluster: Ints
    starts: tuple[Ints, ...]


def layout(panel: Panel, sample: Sample, since: int = 0, untouched: bool = True) -> Layout:
    """The layout of one study: where its clusters may be moved to.

    since     : first place of the panel's days on which a placebo event may fall
    untouched : placebo windows avoid the days that were closed to estimation, the true event windows; long windows
                cannot, and False lets them hold some of those days
    Raises Refusal where a cluster has nowhere to go.
    """
    open_days = panel.free if untouched else panel.eligible
    ticker, day = sample.places.ticker, sample.places.day
    label = clusters(day, panel.window.length)
    offset = np.zeros_like(day)
    starts = []
    for cluster in range(label.max() + 1):
        members = np.flatnonzero(label == cluster)
        offset[members] = day[members] - day[members].min()
        reach = len(panel.days) - int(offset[members].max())
        fits = np.ones(reach, dtype=bool)
        for i in members:
            fits &= open_days[ticker[i], offset[i] : offset[i] + reach]
        fits[:since] = False
        days = np.flatnonzero(fits)
        if len(days) < panel.window.length:
            names = ", ".join(panel.tickers[ticker[i]] for i in members)
            raise Refusal(
                f"there is no day to which the events of {names} could be moved with windows of days "
                f"{panel.window.first} to {panel.window.last}: give a shorter event window or a longer sample."
            )
        starts.append(days)
    return Layout(ticker, offset, label, tuple(starts))


def redated(panel: Panel, plan: Layout, rng: np.random.Generator, draws: int) -> Sample:
    """Placebo studies: every cluster of events on a random day of its own, `draws` times; shape (draws, n).

    A single cluster takes each of its days once instead: there are no more placebos than days.
    """
    if len(plan.starts) == 1:
        first = plan.starts[0][:, None]
    else:
        first = np.stack([rng.choice(days, size=draws) for days in plan.starts], axis=1)
    day = first[:, plan.cluster] + plan.offset
    return gather(panel, np.broadcast_to(plan.ticker, day.shape), day)


def permutation(value: Floats, reference: Floats) -> Floats:
    """Two-sided p of a value (B...) among those of re-dated studies (D,): both tails weighed alike, so a skewed
    reference does not favour one sign. p = 2 (1 + smaller tail) / (D + 1), at most 1.

    >>> permutation(np.array([9.0, 0.0]), np.arange(-9.0, 10.0)).tolist()
    [0.2, 1.0]
    """
    ordered = np.sort(reference)
    below = np.searchsorted(ordered, value, side="right")
    above = len(ordered) - np.searchsorted(ordered, value, side="left")
    return np.asarray(np.minimum(2 * (1 + np.minimum(below, above)) / (len(ordered) + 1), 1.0))


def flips(count: int, rng: np.random.Generator, draws: int) -> Floats:
    """Sign vectors for `count` clusters: all 2^count where count is at most `ENUMERATED`, else `draws` at random.

    >>> flips(2, np.random.default_rng(0), 99).tolist()
    [[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]]
    """
    if count <= ENUMERATED:
        return np.asarray(1.0 - 2.0 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1))
    drawn = np.asarray(2.0 * rng.integers(2, size=(draws, count)) - 1.0, dtype=np.float64)
    drawn[0] = 1.0  # the sample itself is one of them
    return drawn


def wild(values: Floats, cluster: Ints, signs: Floats) -> Result:
    """Mean of the values and its p under flipped signs, whole clusters together.

    values : (B..., n), SCARs or CARs; cluster : (n,); signs : (D, clusters) from `flips`, the first row all ones.
    With one event a cluster this equals the bootstrap of the t statistic, which rises with the mean when all the
    squares stay as they are.
    """
    sums = values @ np.eye(signs.shape[1])[cluster]
    drawn = np.abs(sums @ signs.T)
    return values.mean(axis=-1), (drawn >= np.abs(sums.sum(axis=-1))[..., None] * (1 - 1e-12)).mean(axis=-1)


# ---- the size and power of all of them, on the sample at hand


def p_values(
    sample: Sample, plan: Layout, reference: Floats, signs: Floats, tests: Sequence[str] = TESTS
) -> dict[str, Result]:
    """Every test of one study or of a batch of them: name -> (statistic, p).

    reference : BMP's statistic of placebo studies; signs : from `flips`. Raises Refusal for a test that is not known.
    """
    out: dict[str, Result] = {}
    for name in tests:
        if name == PERMUTATION:
            value = bmp(sample)[0]
            out[name] = value, permutation(value, reference)
        elif name == WILD:
            out[name] = wild(sample.scar, plan.cluster, signs)
        elif name in CLOSED_FORM:
            out[name] = CLOSED_FORM[name](sample)
        else:
            raise Refusal(f"there is no test {name!r}. Known: {', '.join(TESTS)}.")
    return out


def rejections(
    placebo: Sample, plan: Layout, reference: Floats, signs: Floats, effect: float, rng: np.random.Generator
) -> pd.DataFrame:
    """Which tests reject at 5 % in each placebo study of a batch, in three worlds: (worlds x draws) rows, test columns.

    size   : nothing happened
    louder : nothing, but events have twice the variance: half of them, at random, three times and the others once
    power  : louder, and every CAR is `effect` higher
    """
    factor = np.sqrt(rng.choice([1.0, 3.0], size=placebo.car.shape))
    worlds = {
        "size": placebo,
        "louder": placebo.scaled(factor),
        "power": placebo.scaled(factor, effect),
    }
    parts = {}
    for world, sample in worlds.items():
        found = p_values(sample, plan, reference, signs)
        parts[world] = pd.DataFrame({name: p <= LEVEL for name, (_, p) in found.items()})
    return pd.concat(parts)


def verdicts(
    sample: Sample,
    rng: np.random.Generator,
    effect: float = 0.1,
    draws: int = 4_000,
    reference: int = 10_000,
    since: int = 0,
) -> pd.DataFrame:
    """Every test of one study, and how often it rejects at 5 % when the event set is re-dated `draws` times.

    Returns one row per test: test, statistic, p, size, louder, power (see `rejections`), holds (size and louder both
    within `held(draws)`). The permutation's size is right here by construction, since it draws from the same days;
    benchmarks/events.py asks it on resampled histories.
    reference : re-dated studies and sign vectors behind the p that is read; with as many draws and a generator in the
    same state `event_table` gives the same p. since : see `layout`. Raises Refusal for fewer than `FEWEST` clusters.
    """
    plan = layout(sample.panel, sample, since)
    if len(plan.starts) < FEWEST:
        raise Refusal(
            f"{len(plan.starts)} clusters of events in time are too few to compare tests: give {FEWEST} or more."
        )
    quiet = bmp(redated(sample.panel, plan, rng, reference))[0]
    signs = flips(len(plan.starts), rng, reference)
    found = p_values(sample, plan, quiet, signs)
    signs = signs if len(plan.starts) <= ENUMERATED else signs[:SIGNS]
    parts = []
    for done in range(0, draws, BATCH):
        placebo = redated(sample.panel, plan, rng, min(BATCH, draws - done))
        parts.append(rejections(placebo, plan, quiet, signs, effect, rng))
    rates = pd.concat(parts).groupby(level=0).mean().T
    rates["holds"] = (rates["size"].between(*held(draws))) & (rates["louder"].between(*held(draws)))
    rates["statistic"] = [float(found[name][0]) for name in rates.index]
    rates["p"] = [float(found[name][1]) for name in rates.index]
    return rates[["statistic", "p", "size", "louder", "power", "holds"]].rename_axis("test").reset_index()


def held(draws: int) -> tuple[float, float]:
    """Between which rates a test at 5 % is taken to hold its size: 4 to 6 %, widened by two standard errors of `draws`.

    >>> [round(rate, 4) for rate in held(4_000)]
    [0.0331, 0.0669]
    """
    slack = 2 * float(np.sqrt(LEVEL * (1 - LEVEL) / draws))
    return 0.04 - slack, 0.06 + slack


# ---- the whole event table


def event_table(
    sample: Sample,
    groups: Mapping[str, Bools],
    rng: np.random.Generator,
    draws: int = 10_000,
    since: int = 0,
    untouched: bool = True,
) -> pd.DataFrame:
    """One row per group of events: its CAAR, how far chance goes, and the tests by resampling.

    groups : name -> which of the sample's events, (n,) booleans; a group without an event is left out
    Columns: group, events, clusters (in time), positive (share of CARs above 0), caar, low, high (95 % interval: means
    that flipping signs does not reject; missing below 6 clusters, where no sign vector is rare enough), chance (the
    half-width within which 95 % of the re-dated CAARs lie), mean_scar, p_permutation, p_wild, p_kolari_pynnonen (all
    missing below `FEWEST` clusters: deal days are louder, and such a p would be too small). `draws` re-dated studies
    of all events and `draws` sign vectors serve every group; since, untouched : see `layout`.
    """
    plan = layout(sample.panel, sample, since, untouched)
    placebo = redated(sample.panel, plan, rng, draws)
    rows: list[dict[str, object]] = []
    for name, chosen in groups.items():
        if not np.any(chosen):
            continue
        part = sample.part(chosen)
        own = Layout(part.places.ticker, plan.offset[chosen], *_relabelled(plan, chosen))
        count = len(own.starts)
        signs = flips(count, rng, draws)
        false = placebo.part(chosen) if count > 1 else redated(sample.panel, own, rng, draws)
        means = false.car.mean(axis=-1)
        low, high = flip_interval(part.car, own.cluster, signs)
        few = count < FEWEST
        rows.append(
            {
                "group": name,
                "events": int(np.sum(chosen)),
                "clusters": count,
                "positive": float((part.car > 0).mean()),
                "caar": float(part.car.mean()),
                "low": low,
                "high": high,
                "chance": float(np.quantile(np.abs(means - np.median(means)), 0.95)),
                "mean_scar": float(part.scar.mean()),
                "p_permutation": np.nan if few else float(permutation(bmp(part)[0], bmp(false)[0])),
                "p_wild": np.nan if few else float(wild(part.scar, own.cluster, signs)[1]),
                "p_kolari_pynnonen": np.nan if few else float(kolari_pynnonen(part)[1]),
            }
        )
    return pd.DataFrame(rows)


def path_band(
    sample: Sample, rng: np.random.Generator, draws: int = 2_000, since: int = 0, level: float = 0.95
) -> pd.DataFrame:
    """The CAAR by day, and the band that it stays in throughout for a share `level` of re-dated studies.

    Index offset, columns aar, caar, low, high (fractions). The band is centred on the placebo median of each day and as
    wide as a multiple of its standard deviation, one multiple for all days (sup-t). Placebo windows of this length hold
    true event days too, which widens it.
    """
    plan = layout(sample.panel, sample, since, untouched=False)
    paths = np.cumsum(redated(sample.panel, plan, rng, draws).ar.mean(axis=-2), axis=-1)
    centre, spread = np.median(paths, axis=0), paths.std(axis=0)
    reach = float(np.quantile(np.abs((paths - centre) / spread).max(axis=1), level))
    return average_path(sample).assign(low=centre - reach * spread, high=centre + reach * spread)


def flip_interval(values: Floats, cluster: Ints, signs: Floats, level: float = 0.95) -> tuple[float, float]:
    """The means that the wild bootstrap of the values does not reject, found by bisection; NaN where none is rejected.

    values : (n,); cluster, signs : as in `wild`
    """
    group = np.eye(signs.shape[1])[cluster]
    sums, sizes, centre = values @ group, group.sum(axis=0), float(values.mean())
    if 2.0 / len(signs) > 1 - level:
        return np.nan, np.nan
    reach = 20 * float(np.abs(values - centre).max()) + 1e-12

    def kept(mean: float) -> bool:
        shifted = sums - mean * sizes
        share = np.mean(np.abs(signs @ shifted) >= abs(shifted.sum()) * (1 - 1e-12))
        return bool(share > 1 - level)

    ends = []
    for side in (-1.0, 1.0):
        inside, outside = centre, centre + side * reach
        for _ in range(30):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if kept(middle) else (inside, middle)
        ends.append(inside)
    return ends[0], ends[1]


def _relabelled(plan: Layout, chosen: Bools) -> tuple[Ints, tuple[Ints, ...]]:
    """The clusters of some of the events, numbered from 0, and their days."""
    old, new = np.unique(plan.cluster[chosen], return_inverse=True)
    return new, tuple(plan.starts[label] for label in old)
