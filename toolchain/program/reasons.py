"""Says what to do about what nobody can tell: one sentence for each kind of reason."""

from __future__ import annotations

import re

_ADVICE: tuple[tuple[str, str], ...] = (
    (
        "CommonJS as a whole",
        (
            "import the members that are used by name, or write them with `export`: as long as "
            "somebody has `exports` as a whole, all of them stay"
        ),
    ),
    (
        "computed name|name that is computed",
        (
            "list what the name may mean under [dynamic] in vtool.toml, or write the file's name "
            "out in the import"
        ),
    ),
    (
        "may be global",
        "add `export {}` to the file if no other script uses its names as globals",
    ),
    ("eval may use", "replace `eval` by code that names what it uses: until then all names stay"),
    (r"import = require\(\)|export =", "write `import ... from` and `export` instead"),
    (
        "^not understood",
        "write the place in plainer syntax: a file that is not understood stays whole",
    ),
    ("^requires a module", "write `import` instead of `require`, or drop the line"),
    ("^loads a module", "drop the `import()` if nobody needs what the module does when it loads"),
    ("^waits", "move the `await` into the function that needs its result"),
    (
        "which nobody declares",
        (
            "ask `typeof NAME` before it is read, or import it: a name that is not there throws, "
            "so the statement stays"
        ),
    ),
    (
        "extends something unknown|an instance of something unknown",
        "import the class by name from an ES module, so that what it extends can be read",
    ),
    (
        "^(under a condition )?(calls|makes|has functions)",
        (
            "write /* @__PURE__ */ before the call if it may go when nobody uses its result, or "
            "drop the statement"
        ),
    ),
    (
        "^(under a condition )?(changes|sets|assigns|takes)",
        "change the object in the function or module that makes it, or drop the statement",
    ),
)
_OTHER = "drop the statement if nobody needs what it does; as it is written, it has to stay"


_BY_ANYBODY = ("list ", "import the members")  # who uses a package can do that


def advice(why: str, *, is_foreign: bool = False) -> str:
    """Return what to do about a reason for not knowing; foreign code has maintainers of its own.

    >>> advice("waits at line 2")
    'move the `await` into the function that needs its result'
    """
    text = next((text for pattern, text in _ADVICE if re.search(pattern, why)), _OTHER)
    return (
        f"its maintainers can {text}" if is_foreign and not text.startswith(_BY_ANYBODY) else text
    )
