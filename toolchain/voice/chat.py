"""How messages are written for a language model, and which tokens end its answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from toolchain.errors import ConfigError
from toolchain.voice.tokenizer import Tokenizer

ROLES = ("system", "user", "assistant")

CHATML: Mapping[str, tuple[str, str]] = {
    role: (f"<|im_start|>{role}\n", "<|im_end|>\n") for role in ROLES
}
"""What stands before and after a message: SmolLM2, Qwen, and many more."""


@dataclass(frozen=True)
class Template:
    """What stands before and after a message of each role, and the tokens that end an answer."""

    tokenizer: Tokenizer
    around: Mapping[str, Sequence[str]]
    stops: frozenset[int]

    def message(self, role: str, text: str) -> list[int]:
        """Return the tokens of a whole message; what ``text`` says is only text."""
        before, after = self.around[role]
        return self._written([*self._marked(before), text, *self._marked(after)])

    def opening(self, role: str) -> list[int]:
        """Return the tokens that begin a message."""
        return self._written(self._marked(self.around[role][0]))

    def closing(self, role: str) -> list[int]:
        """Return the tokens that end a message."""
        return self._written(self._marked(self.around[role][1]))

    def _marked(self, text: str) -> list[str | int]:
        """Return a part of the template with its control tokens as numbers."""
        return list(_split(text, self.tokenizer.controls))

    def _written(self, parts: Sequence[str | int]) -> list[int]:
        """Return the tokens of text and numbers; neighbouring texts are read as one."""
        found: list[int] = []
        held = ""
        for part in parts:
            if isinstance(part, str):
                held += part
                continue
            found += [*self.tokenizer.encode(held), part]
            held = ""
        return [*found, *self.tokenizer.encode(held)]


def _split(text: str, controls: Mapping[str, int]) -> Iterator[str | int]:
    """Cut ``text`` at the names of control tokens; the longest that fits is meant."""
    names = sorted(controls, key=len, reverse=True)
    start = at = 0
    while at < len(text):
        name = next((n for n in names if n and text.startswith(n, at)), "")
        if name:
            yield text[start:at]
            yield controls[name]
            start = at + len(name)
        at += len(name) or 1
    yield text[start:]


def template(
    tokenizer: Tokenizer,
    around: Mapping[str, Sequence[str]] | None = None,
    stop: Sequence[str] = (),
) -> Template:
    """Return the template of ``around``, ChatML if there is none.

    ``stop`` names tokens, control tokens or text; without it, the control tokens that stand after
    the assistant's messages end an answer.

    Errors:
        ConfigError: a role is missing or unknown, or a stop is no single token.
        InputError: the tokenizer lacks ChatML's control tokens.
    """
    if around is None:
        tokenizer.control_id("<|im_start|>")
        tokenizer.control_id("<|im_end|>")
        around = CHATML
    if set(around) != set(ROLES):
        raise ConfigError(
            f"voice.llm.template is for {', '.join(around) or 'no role'}",
            hint=f"give each of {', '.join(ROLES)} what stands before and after its messages",
        )
    made = Template(tokenizer, around, frozenset())
    ends = stop or [n for n in tokenizer.controls if n in around["assistant"][1]]
    return Template(tokenizer, around, frozenset(_one_token(made, end) for end in ends))


def _one_token(made: Template, stop: str) -> int:
    if stop in made.tokenizer.controls:
        return made.tokenizer.controls[stop]
    written = made.tokenizer.encode(stop)
    if len(written) != 1:
        raise ConfigError(
            f"voice.llm: stop {stop!r} is {len(written)} tokens",
            hint="an answer ends at one token: name a control token, or a shorter text",
        )
    return written[0]
