"""A short summary in Markdown: the comment a CI run leaves on a change."""

from __future__ import annotations

from toolchain.ir import ModelSearch, Report, State, Verdict
from toolchain.render import figures
from toolchain.render.figures import StepTotal
from toolchain.render.terminal import plain
from toolchain.units import show_bytes, show_quantity, show_range, show_share

_MARKS = {State.MET: "✓", State.BROKEN: "✗", State.INCONCLUSIVE: "~", State.NOT_MEASURED: "?"}


def summary(report: Report) -> str:
    """Return the verdicts and the ledger of ``report`` as GitHub-flavoured Markdown."""
    lines = [f"### vtool: {escape(report.target)}", "", *_verdicts(report), *_ledger(report)]
    lines += _models(report)
    lines += [f"- {escape(note)}" for note in report.notes]
    return "\n".join(lines).rstrip() + "\n"


def escape(text: str) -> str:
    r"""Return ``text`` so that Markdown shows it as it is: no markup, link, mention or cell end.

    >>> escape("a|b <i> `x`")
    'a\\|b \\<i\\> \\`x\\`'
    """
    shown = "".join(f"\\{c}" if c in "\\`*_[]<>|~#" else c for c in plain(text))
    # no backslash stops a mention or a bare address; an invisible joiner does
    return shown.replace("@", "@\u2060").replace("://", ":\u2060//")


def _verdicts(report: Report) -> list[str]:
    if not report.verdicts:
        return []
    met = sum(v.ok for v in report.verdicts)
    head = f"**{met} of {len(report.verdicts)} budgets met**"
    bounded = any(v.interval for v in report.verdicts)
    return [
        head,
        "",
        f"| | measure | observed |{' bounds |' if bounded else ''} limit | verdict | why |",
        f"|---|---|---:|{'---:|' if bounded else ''}---:|---|---|",
        *[_verdict(v, bounded=bounded) for v in report.verdicts],
        "",
    ]


def _verdict(verdict: Verdict, *, bounded: bool) -> str:
    budget = verdict.budget
    observed = "-" if verdict.observed is None else show_quantity(verdict.observed, budget.unit)
    sign = "≥" if budget.at_least else "≤"
    found = verdict.interval
    between = (show_range(found.low, found.high, budget.unit) if found else "",) if bounded else ()
    doubt = f" ({verdict.doubt})" if verdict.doubt else ""
    cells = (
        _MARKS[verdict.state],
        escape(budget.measure),
        observed,
        *between,
        f"{sign} {show_quantity(budget.limit, budget.unit)}",
        f"{verdict.state.value}{doubt}",
        escape(budget.why),
    )
    return f"| {' | '.join(cells)} |"


def _ledger(report: Report) -> list[str]:
    if not report.ledger:
        return []
    return [
        "| pass | before | after | saved | | proofs |",
        "|---|---:|---:|---:|---:|---:|",
        *[_step(step) for step in figures.steps(report)],
        _step(figures.whole(report)),
        "",
    ]


def _models(report: Report) -> list[str]:
    if not report.models:
        return []
    return [
        "| model | before | download | | error | agreement |",
        "|---|---:|---:|---:|---:|---:|",
        *[_model(model) for model in report.models],
        "",
    ]


def _model(model: ModelSearch) -> str:
    limit = "" if model.error_limit is None else f" of {model.error_limit:.3g}"
    cells = (
        escape(model.artifact),
        show_bytes(model.before),
        show_bytes(model.after),
        show_share(model.before - model.after, model.before),
        f"{model.error:.3g}{limit} {escape(model.unit)}",
        f"{model.agreement:.2%}",
    )
    return f"| {' | '.join(cells)} |"


def _step(step: StepTotal) -> str:
    cells = (
        escape(step.step),
        show_bytes(step.before),
        show_bytes(step.after),
        show_bytes(step.saved),
        show_share(step.saved, step.before),
        f"{step.held}/{step.proofs}",
    )
    return f"| {' | '.join(cells)} |"
