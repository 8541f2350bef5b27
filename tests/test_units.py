"""Unit types: each carries a range that pydantic enforces, and an example inside it."""

from datetime import date
from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from wattshift import units
from wattshift.units import Unit, plain

TYPES = {
    name: kind
    for name, kind in vars(units).items()
    if get_args(kind) and any(isinstance(part, Unit) for part in get_args(kind))
}
NUMBERS = {name: kind for name, kind in TYPES.items() if get_args(kind)[0] in (int, float)}


def unit_of(kind: Any) -> Unit:
    return next(part for part in get_args(kind) if isinstance(part, Unit))


def test_the_types_that_the_design_names_are_there() -> None:
    assert {"UsdPerKwh", "JoulesPerTerahash", "ExahashPerSecond", "MegawattGross", "MegawattCriticalIT"} <= set(TYPES)


@pytest.mark.parametrize("name", TYPES)
def test_an_example_is_allowed_by_its_own_type(name: str) -> None:
    example = unit_of(TYPES[name]).example
    assert TypeAdapter(TYPES[name]).validate_python(example, strict=True) == example


@pytest.mark.parametrize("name", NUMBERS)
def test_both_ends_of_a_range_are_inside_and_the_next_numbers_are_not(name: str) -> None:
    base, unit = get_args(NUMBERS[name])[0], unit_of(NUMBERS[name])
    adapter = TypeAdapter(NUMBERS[name])
    step = 1 if base is int else abs(unit.high) * 1e-9
    assert [adapter.validate_python(base(end)) for end in (unit.low, unit.high)] == [unit.low, unit.high]
    for outside in (unit.low - step, unit.high + step):
        with pytest.raises(ValidationError):
            adapter.validate_python(base(outside))


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), True, "1", None, b"1", [1]])
def test_what_is_not_a_finite_number_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(NUMBERS[name]).validate_python(value, strict=True)


def test_days_are_days_of_the_calendar() -> None:
    adapter = TypeAdapter(units.Day)
    assert adapter.validate_python("2024-02-29") == "2024-02-29"  # 2024 divides by 4
    assert adapter.validate_python("2100-02-28") == "2100-02-28"
    for wrong in ("2023-02-29", "2100-02-29", "2024-13-01", "20240101", "2024-W01-1", "2008-12-31", "2141-01-01", ""):
        with pytest.raises(ValidationError):
            adapter.validate_python(wrong)
    assert date.fromisoformat(units.Day.__metadata__[0].low) == date(2009, 1, 3)  # the genesis block


def test_plain_numbers_read_back_as_themselves() -> None:
    for number in (0.1, 1e-13, 1 / 3, 2_099_999_997_690_000, 1e15, -0.05, 6.25e8):
        assert float(plain(number).replace(",", "")) == number
    assert (plain(1e15), plain(1e-6), plain(2016)) == ("1,000,000,000,000,000", "0.000001", "2,016")


def test_constants_agree_with_the_definitions_they_come_from() -> None:
    assert units.BLOCKS_PER_DAY * units.SECONDS_PER_BLOCK == units.SECONDS_PER_DAY
    assert units.BLOCKS_PER_RETARGET == 14 * units.BLOCKS_PER_DAY  # two weeks
    assert units.JOULES_PER_KWH == 1_000 * 3_600
