"""The index page of a sweep: one row for each run, those that ended badly first.

What stands there comes from notebooks, their errors and the command line: all of it is text, none of it markup.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import quote

from sweeps.job import EXECUTED, LOG, PAGE, THUMBNAIL, Outcome
from sweeps.plan import Job

ORDER = ("failed", "timed out", "out of memory", "waiting", "ok")
STYLE = """
:root { color-scheme: light dark; --line: #d7dbe0; --soft: #59636e; --bad: #b3261e; --good: #1a7f37; --wait: #6e5a00 }
@media (prefers-color-scheme: dark) {
  :root { --line: #3d444d; --soft: #9aa4af; --bad: #ff8a80; --good: #56d364; --wait: #e3b341 } }
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 90rem; padding: 0 1rem }
h1 { font-size: 1.5rem; margin: 0 } p { margin: .3rem 0 1rem; color: var(--soft) }
h1, td { overflow-wrap: anywhere }
table { border-collapse: collapse; width: 100% }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: .85rem; white-space: nowrap }
th, td { padding: .6rem 1rem .6rem 0; border-top: 1px solid var(--line); vertical-align: top }
td[data-name] { min-width: 7rem } td.notebook { min-width: 12rem } td.said { width: 50%; min-width: 16rem }
.verdict { font-weight: 600; white-space: nowrap } .said div { white-space: pre-line } .soft { color: var(--soft) }
.cost { white-space: nowrap; color: var(--soft) } .cost span { display: block }
.bad { color: var(--bad) } .good { color: var(--good) } .waiting { color: var(--wait) }
img { display: block; width: 15rem; max-height: 10rem; object-fit: contain; object-position: left top }
a { color: LinkText } nav a { margin-right: .9rem; white-space: nowrap }
@media (max-width: 60rem) {
  thead { display: none } tr { display: block; border-top: 1px solid var(--line); padding: .7rem 0 }
  td { display: block; border: 0; padding: .15rem 0 } td.said { width: auto } td:empty { display: none }
  td[data-name]::before { content: attr(data-name) ": "; color: var(--soft) }
  .cost span { display: inline; margin-right: .9rem }
  img { width: 100%; max-width: 24rem; max-height: 14rem } }
"""
POLICY = "default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'"


def make_page(title: str, jobs: Sequence[Job], outcomes: Mapping[str, Outcome]) -> str:
    """The page as HTML; its links begin at the folder that holds it.

    Args:
        title: what the sweep is called.
        jobs: all of its runs.
        outcomes: by their keys; a job that has none waits.
    """
    rows = [(job, outcomes.get(job.key, Outcome("waiting"))) for job in jobs]
    rows.sort(key=lambda row: ORDER.index(row[1].verdict))
    counts = Counter(outcome.verdict for _, outcome in rows)
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ORDER if counts[verdict])
    names = list(dict.fromkeys(name for job in jobs for name in job.varied))
    heads = "".join(f"<th>{escape(name)}</th>" for name in ("verdict", "notebook", *names, "what it said", "cost", ""))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">
<title>{escape(title)}</title><style>{STYLE}</style></head><body>
<h1>{escape(title)}</h1>
<p>{len(rows)} runs: {told}</p>
<table><thead><tr>{heads}</tr></thead><tbody>
{"".join(_row(job, outcome, names) for job, outcome in rows)}</tbody></table>
</body></html>
"""


def _row(job: Job, outcome: Outcome, names: Sequence[str]) -> str:
    kind = {"ok": "good", "waiting": "waiting"}.get(outcome.verdict, "bad")
    values = "".join(f'<td data-name="{escape(name)}">{escape(str(job.varied[name]))}</td>' for name in names)
    said = f"<div>{escape(outcome.sentence)}</div>" if outcome.sentence else ""
    said += f'<div class="{"soft" if said else ""}">{escape(outcome.answer)}</div>' if outcome.answer else ""
    costs = (_tell_time(outcome.seconds), f"{outcome.memory / 1e9:.1f} GB") if outcome.seconds else ()
    cost, picture, link = "".join(f"<span>{one}</span>" for one in costs), "", f"{quote(job.key)}/"
    if THUMBNAIL in outcome.files:
        image = f'<img src="{link}{THUMBNAIL}" loading="lazy" alt="first picture of {escape(job.describe())}">'
        picture = f'<a href="{link}{PAGE}">{image}</a>'
    shown = {PAGE: "page", EXECUTED: "notebook"} | ({LOG: "log"} if kind == "bad" else {})
    links = " ".join(f'<a href="{link}{file}">{text}</a>' for file, text in shown.items() if file in outcome.files)
    return (
        f'<tr><td class="verdict {kind}">{outcome.verdict}</td>'
        f'<td class="notebook">{escape(job.notebook)}<nav>{links}</nav></td>{values}'
        f'<td class="said">{said}</td><td class="cost">{cost}</td><td>{picture}</td></tr>\n'
    )


def _tell_time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
