"""Convert dates to numbers: the day, and the parts of the calendar."""

from __future__ import annotations

import numpy as np

from cnn_core.tables.values import Dates, Numbers

# The first is the time in days since 1970; all others except the year are periodic.
PARTS = ("time", "year", "month", "day", "weekday", "hour")


def parts_of(dates: Dates) -> dict[str, Numbers]:
    """Return the parts of dates as numbers, NaN where a date is missing.

    Parameters
    ----------
    dates : (n,) array of datetime64[us]

    Returns
    -------
    dict of str to (n,) array
        Keys as in `PARTS`: days since 1970 with their fraction, year, month from 1, day of the
        month from 1, weekday from 0 (Monday), and hour with its fraction.
    """
    missing = np.isnat(dates)
    known = np.where(missing, np.datetime64(0, "us"), dates)
    days = known.astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    years = days.astype("datetime64[Y]")
    number = days.astype(np.int64)
    hour = (known - days) / np.timedelta64(1, "h")
    found = {
        "time": number + hour / 24,
        "year": years.astype(np.int64) + 1970,
        "month": (months - years.astype("datetime64[M]")).astype(np.int64) + 1,
        "day": (days - months.astype("datetime64[D]")).astype(np.int64) + 1,
        # The first day of 1970 was a Thursday.
        "weekday": (number + 3) % 7,
        "hour": hour,
    }
    return {name: np.where(missing, np.nan, values) for name, values in found.items()}
