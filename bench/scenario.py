"""What every scenario has: subjects, one measurement of a subject, and what was aimed at."""


def number(value, unit=""):
    """Three digits that count."""
    if value is None:
        return "-"
    if value >= 1000:
        text = f"{value:,.0f}"
    elif value >= 100:
        text = f"{value:.0f}"
    else:
        text = f"{value:.3g}"
    return text + unit


class Goal:
    """text: what is aimed at; got: what was measured, None when it could not be; low or high: the limit."""

    def __init__(self, text, got, low=None, high=None, unit=""):
        self.text, self.got, self.unit = text, got, unit
        self.wanted = ("at least " + number(low, unit)) if low is not None else "at most " + number(high, unit)
        self.met = None if got is None else got >= low if low is not None else got <= high


def ratio(a, b):
    return None if a is None or not b else a / b


class Scenario:
    name = ""
    title = ""
    subjects = ()
    columns = ()   # (title, key, unit) of what measure() gives
    figures = None # the issue that asks for them

    def __init__(self, bench):
        self.bench = bench

    def size(self, count):
        """A count as asked for, or a tenth of it for a quick look."""
        return max(100, count // 10) if self.bench.quick else count

    def measure(self, subject):
        raise NotImplementedError

    def goals(self, of):
        """of(subject, key): the median."""
        return []


def spent(server, messages, seconds, cpu_before):
    return {"messages": messages, "seconds": seconds, "per_second": messages / seconds,
            "cpu_us": (server.group.cpu() - cpu_before) * 1e6 / messages}
