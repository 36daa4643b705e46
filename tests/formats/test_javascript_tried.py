"""What minifiers take for useless is kept from them, and nothing else is touched."""

from __future__ import annotations

import subprocess

import pytest

from toolchain.formats.javascript_addresses import edited
from toolchain.formats.javascript_tried import shields
from toolchain.sources.tools import node


def shielded(text: str) -> str:
    data = text.encode()
    return edited(data, shields(data)).decode()


KEPT = {
    "an operator": ("'a' in x;", "delete[,['a' in x]][1];"),
    "a conversion": ("+x;", "delete[,[+x]][1];"),
    "a template": ("`${x}`;", "delete[,[`${x}`]][1];"),
    "a constructor": ("new Array(n);", "delete[,[new Array(n)]][1];"),
    "a function that makes": ("BigInt(n);", "delete[,[BigInt(n)]][1];"),
    "what goes through": ("[...x];", "delete[,[[...x]]][1];"),
    "the end of a condition": ("x && 'a' in x;", "delete[,[x && 'a' in x]][1];"),
    "a part of a sequence": ("f(), 'a' in x;", "delete[,[f(), 'a' in x]][1];"),
    "a member that is tried": ("try { x.a; } catch {}", "try { delete[,[x.a]][1]; } catch {}"),
    "a name that is tried": ("try { x } catch {}", "try { delete[,[x]][1] } catch {}"),
    "a constant nobody uses": (
        "try { const t = x instanceof Y; f(); } catch {}",
        "try { const t = x instanceof Y;delete[,[t]][1]; f(); } catch {}",
    ),
    "a class nobody uses": (
        "try { class A extends B {} } catch {}",
        "try { class A extends B {};delete[,[A]][1]; } catch {}",
    ),
    "a variable before a comment": (
        "try { var t = a in b // c\n f() } catch {}",
        "try { var t = a in b;delete[,[t]][1] // c\n f() } catch {}",
    ),
    "the body of a loop": ("for (;;) a in b;", "for (;;) delete[,[a in b]][1];"),
    "the start of a condition": ("'a' in x && 1;", "delete[,['a' in x && 1]][1];"),
    "two in a row": (
        "try { const t = a in b;c in d } catch {}",
        "try { const t = a in b;delete[,[t]][1];delete[,[c in d]][1] } catch {}",
    ),
}
LEFT_ALONE = [
    "f(x); x = 1; x++; await x; delete x.a; new Thing(n); x.f(); x?.();",
    "'use strict'; 1; x; x.a; x === y; x && f(); !f(); void 0; typeof x; `text`; [x]; ({});",
    "for (; 'a' in x; +x) f(); while (+x) f(); if (a in b) f(); do f(); while (a < b);",
    "try { const t = a in b; f(t); class A extends B {} g(A); } catch {}",
    "try { f(); } catch { x.a; }",
    "try { f(() => { x.a; }); } catch {}",
    "/* @__PURE__ */ new Map(x);",
    "try { const t = 'a' in x; } catch { ",
]


@pytest.mark.parametrize("what", KEPT)
def test_what_may_be_noticed_stays(what: str) -> None:
    before, after = KEPT[what]
    assert shielded(before) == after


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_everything_else_is_left_alone(text: str) -> None:
    assert shielded(text) == text


def test_what_is_kept_does_what_it_did() -> None:
    text = """
      const seen = [], o = { get a() { seen.push("a") }, valueOf() { seen.push("+"); return 1 } };
      const tried = (f) => { try { f(); return "fine" } catch (e) { return e.name } };
      +o; `${o}`; o < 1
      try { o.a } catch {}
      console.log(seen.join(), tried(() => { 'a' in 1 }), tried(() => { new Array(-1) }),
        tried(() => { try { nobody } finally {} }),
        tried(() => { try { const a = 1n + 1 } finally {} }));
    """
    assert shielded(text) != text
    printed = [
        subprocess.run(
            [str(node()), "-e", one], capture_output=True, text=True, timeout=60, check=True
        ).stdout
        for one in (text, shielded(text))
    ]
    assert printed[0] == printed[1] != ""
