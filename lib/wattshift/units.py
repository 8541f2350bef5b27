"""Named constants, and units as types.

A type here is an `Annotated` alias: its range and its unit travel with the name, so that a notebook's parameters cell
is the whole contract (`power_price: UsdPerKwh = 0.05`).
"""

SATOSHI_PER_BTC = 100_000_000
SECONDS_PER_DAY = 86_400
BLOCKS_PER_DAY = 144
SECONDS_PER_BLOCK = 600
BLOCKS_PER_RETARGET = 2_016
BLOCKS_PER_HALVING = 210_000
JOULES_PER_KWH = 3.6e6
HASHES_PER_DIFFICULTY = 2**32
