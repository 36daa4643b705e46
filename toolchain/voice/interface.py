"""Which inputs the models of each adapter have, and what to say about a model that fits none."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnxruntime as ort

from toolchain.errors import ConfigError, InputError

Ways = tuple[tuple[str, ...], ...]  # sets of inputs; a model has all of one of them, or more

KNOWN: Mapping[str, Mapping[str, Ways]] = {
    "vad": {
        "silero": (("input", "state"), ("input", "h", "c")),
        "framewise": (("(sound of any name)",),),
    },
    "stt encoder": {"moonshine": (("input_values",),), "whisper": (("input_features",),)},
    "stt decoder": {
        "moonshine": (("input_ids", "encoder_hidden_states"),),
        "whisper": (("input_ids", "encoder_hidden_states"),),
    },
    "llm": {"llama": (("input_ids",),)},
    "tts": {"hibari": (("ids", "speed"),), "piper": (("input", "input_lengths", "scales"),)},
}
"""By kind of model and adapter. What is in brackets is found by type and shape."""

_ALSO: Mapping[str, str] = {
    "silero": "sr",
    "framewise": "a rate, states that outputs continue",
    "llama": "past_key_values.N.key or past.N.key, attention_mask, position_ids, cache_position, "
    "use_cache_branch, num_logits_to_keep",
    "piper": "sid",
}
"""Inputs that models of an adapter may have too."""

_TYPES: Mapping[str, type[np.generic]] = {
    "tensor(bool)": np.bool_,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}


def expect(session: ort.InferenceSession, name: str, kind: str, adapter: str) -> None:
    """Refuse a model ``name`` of a ``kind`` in ``KNOWN`` that does not fit ``adapter``.

    Errors:
        ConfigError: it fits another adapter of that kind.
        InputError: it fits none; lists what was found and what is known.
    """
    found = {i.name for i in session.get_inputs()}
    fitting = [a for a, ways in KNOWN[kind].items() if any(found.issuperset(w) for w in ways)]
    if adapter in fitting:
        return
    if fitting:
        raise ConfigError(
            f"{name} has the inputs {', '.join(sorted(found))}: not those of {adapter!r}",
            hint=f'they are those of {fitting[0]!r}: set adapter = "{fitting[0]}"',
        )
    raise misfit(session, name, kind)


def misfit(session: ort.InferenceSession, name: str, kind: str, why: str = "") -> InputError:
    """Return the error for a model that fits no adapter of its kind; ``why`` adds a reason."""
    found = ", ".join(sorted(i.name for i in session.get_inputs()))
    shown = "; ".join(
        f"{adapter}: {' or '.join(', '.join(way) for way in ways)}"
        + (f" (also {_ALSO[adapter]})" if adapter in _ALSO else "")
        for adapter, ways in KNOWN[kind].items()
    )
    return InputError(
        f"{name} has the inputs {found}, which fit no adapter{why and f': {why}'}",
        hint=f"known inputs: {shown}",
    )


def number_type(port: ort.NodeArg, name: str) -> type[np.generic]:
    """Return the type of an input's numbers; ``name`` is the model's.

    Errors:
        InputError: it is none that we can feed.
    """
    if port.type not in _TYPES:
        raise InputError(
            f"the input {port.name} of {name} is a {port.type}",
            hint=f"inputs that can be fed: {', '.join(_TYPES)}",
        )
    return _TYPES[port.type]
