"""How numbers are printed. One place, so that the same value reads the same everywhere."""

import math


def score(value: float) -> str:
    """A score between 0 and 1, or a difference of two: three decimals."""
    return f"{value:.3f}".replace("-", "−") if math.isfinite(value) else "n/a"


def p_value(p: float) -> str:
    """A p-value for mathematics: three decimals, or a bound where these would all be zero."""
    return f"= {p:.3f}" if p >= 0.001 else "< 0.001"


def count(value: int) -> str:
    """A whole number with separated thousands."""
    return f"{value:,}"


def quantity(value: float) -> str:
    """A large amount with three digits and a prefix: 1.83 G, 11.4 M, 512."""
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        # a number that rounds up to 1000 belongs to the next prefix
        if abs(value) >= 0.9995 * factor:
            return f"{_three_digits(value / factor)}\u202f{prefix}"
    return f"{value:.0f}"


def difference(value: float) -> str:
    """A large difference with three digits, a prefix and its sign: +12.5 k."""
    return ("−" if value < 0 else "+") + quantity(abs(value))


def hours(seconds: float) -> str:
    """A duration in the unit that reads best."""
    for factor, unit in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * factor:
            return f"{_three_digits(seconds / factor)}\u202f{unit}"
    return f"{seconds:.0f}\u202fseconds"


def energy(kilowatt_hours: float) -> str:
    """What a study drew."""
    return f"{kilowatt_hours:.2f}\u202fkWh"


def percent(fraction: float) -> str:
    """A level such as 0.95 as 95 %."""
    return f"{100 * fraction:g}\u202f%"


def change(value: float) -> str:
    """A relative change in percent, with its sign."""
    return f"{value:+.1f}\u202f%".replace("-", "−")


def setting(value: object) -> str:
    """A field of the config as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value)
    if isinstance(value, float):
        # floats from YAML keep the short form that was typed: 0.001, 1e-05 becomes 10⁻⁵ in no font, so plain
        return f"{value:.10f}".rstrip("0").rstrip(".") if 1e-6 < abs(value) < 1e6 else f"{value:g}"
    return str(value).replace("_", " ") if isinstance(value, str) else str(value)


def date(stamp: str) -> str:
    """The day of an ISO 8601 time stamp."""
    return stamp[:10] or "unknown date"


def short_hash(value: str | None) -> str:
    """The first eight digits of a hash or commit."""
    return value[:8] if value else "none"


def commit(git: dict) -> str:
    """A commit, with a mark where the working tree differed: `1a2b3c4d (edited)`; `none` without git."""
    return short_hash(git["commit"]) + (" (edited)" if git.get("dirty") else "")


def _three_digits(value: float) -> str:
    decimals = max(0, 2 - math.floor(math.log10(max(abs(value), 1e-9) * 1.0005)))
    return f"{value:.{min(decimals, 2)}f}"
