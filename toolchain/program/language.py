"""All of JavaScript and TypeScript that evaluations follow: what is not listed here is in doubt."""

from __future__ import annotations

from toolchain.program import assignments, calls, classes, expressions, literals, statements
from toolchain.program.evaluation import Language

JAVASCRIPT = Language(
    expressions={
        **expressions.EXPRESSIONS,
        **literals.EXPRESSIONS,
        **assignments.EXPRESSIONS,
        **classes.EXPRESSIONS,
        **calls.EXPRESSIONS,
    },
    statements={**statements.STATEMENTS, **classes.STATEMENTS},
    call=calls.call,
)
