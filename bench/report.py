"""doc/performance.md: what stands between its markers is written here and nowhere else."""

import re
import statistics

from scenarios import ALL, number


def median_of(samples):
    """of(subject, key): the median over the samples of that subject that count."""
    def of(subject, key):
        values = [s["figures"][key] for s in samples if s["subject"] == subject and s["counts"]
                  and s["figures"].get(key) is not None]
        return statistics.median(values) if values else None
    return of


def _row(cells):
    return "| " + " | ".join(cells) + " |"


def _cell(samples, subject, key, unit):
    values = [s["figures"][key] for s in samples if s["subject"] == subject and s["counts"]
              and s["figures"].get(key) is not None]
    if not values:
        return "-"
    text = number(statistics.median(values), unit)
    if key == "per_second" and len(values) > 1:
        text += f" ({number(min(values))} to {number(max(values))})"
    return text


def _runs(samples, subject):
    mine = [s for s in samples if s["subject"] == subject]
    counting = [s for s in mine if s["counts"]]
    noisy = sum(1 for s in counting if s["noise"])
    text = f"{len(counting)} of {len(mine)}"
    return text + (f", {noisy} disturbed" if noisy else "")


def section(scenario, samples, provenance):
    """The text of one scenario."""
    of = median_of(samples)
    columns = [c for c in scenario.columns if any(of(s, c[1]) is not None for s in scenario.subjects)]
    lines = [f"### {scenario.title}", "", _row(["", *(c[0] for c in columns), "runs that count"]),
             "|---" * (len(columns) + 2) + "|"]
    for subject in scenario.subjects:
        lines.append(_row([subject, *(_cell(samples, subject, key, unit) for _, key, unit in columns),
                           _runs(samples, subject)]))
    goals = scenario.goals(of)
    if goals:
        lines += ["", _row(["aim", "wanted", "measured", ""]), "|---|---|---|---|"]
        for goal in goals:
            met = "not measured" if goal.met is None else "met" if goal.met else "**short**"
            lines.append(_row([goal.text, goal.wanted, number(goal.got, goal.unit), met]))
    failures = sorted({s["error"] for s in samples if s.get("error")})
    if failures:
        lines += ["", "Did not come through: " + "; ".join(failures) + "."]
    return "\n".join([*lines, "", provenance])


def machine(facts):
    return "\n".join([_row(["this machine", ""]), "|---|---|", *(_row([k, v]) for k, v in facts.items())])


def put(document, name, text):
    """The document with what stands between the markers of that name replaced."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(document):
        raise SystemExit(f"doc/performance.md has no marker {begin}")
    return pattern.sub(lambda _: f"{begin}\n{text}\n{end}", document)


def write(path, results, facts, provenance):
    """results: scenario -> samples, of this run; the other sections stay as they are."""
    with open(path, encoding="utf-8") as f:
        document = f.read()
    document = put(document, "machine", machine(facts))
    for kind in ALL:
        if kind.name in results:
            document = put(document, kind.name, section(kind(None), results[kind.name], provenance))
    with open(path, "w", encoding="utf-8") as f:
        f.write(document)
