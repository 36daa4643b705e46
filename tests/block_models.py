"""Small language models on blocks, and a task that compares them, for tests of the search."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import tiny_gguf
from numpy.typing import NDArray

from toolchain.formats import gguf
from toolchain.formats.gguf import GgufModel
from toolchain.formats.llama import llama
from toolchain.formats.llama_packed import packed_graph
from toolchain.formats.onnx_model import serialized
from toolchain.formats.onnx_runner import Runner
from toolchain.tasks.base import Limit, Score, Split

Logits = NDArray[np.float64]

_TEXTS = {Split.CALIBRATION: 8, Split.SEARCH: 4, Split.CONFIRMATION: 4}
_TOKENS = 24


@cache
def source(
    matrices: str = "Q4_1", embedding: str = "Q8_0", *, tied: bool = True, hidden: int = 64
) -> GgufModel:
    """Return a two-layer llama; all its matrices but the embeddings are of one format."""
    parts = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    kinds = dict.fromkeys(parts, matrices) | {"token_embd": embedding, "output": embedding}
    metadata, tensors = tiny_gguf.llama(
        vocabulary=512, hidden=hidden, inner=2 * hidden, tied=tied, kinds=kinds
    )
    return gguf.read(tiny_gguf.written(metadata, tensors))


@cache
def model(
    matrices: str = "Q4_1", embedding: str = "Q8_0", *, tied: bool = True, hidden: int = 64
) -> bytes:
    """Return ``source`` as an ONNX model."""
    read = llama(source(matrices, embedding, tied=tied, hidden=hidden))
    return serialized(packed_graph(read, accuracy_level=1))


@dataclass(frozen=True)
class NextToken:
    """Divergence of the next token's probabilities on seeded texts, disjoint by seed."""

    limit: Limit
    unit: str = "nats"

    def instrumented(self, model: bytes) -> bytes:
        """Return ``model``."""
        return model

    def reference(self, runner: Runner, split: Split) -> Logits:
        """Return log probabilities after every text, (texts, vocabulary)."""
        found = []
        for seed in range(_TEXTS[split]):
            generator = np.random.default_rng([list(Split).index(split), seed])
            ids = generator.integers(0, 512, (1, _TOKENS))
            past = {
                p.name: np.zeros((1, int(p.shape[1] or 0), 0, int(p.shape[3] or 0)), np.float32)
                for p in runner.inputs
                if p.name.startswith("past.")
            }
            logits = runner.run({"input_ids": ids, **past})["logits"][0, -1].astype(np.float64)
            found.append(logits - np.log(np.exp(logits).sum()))
        return np.array(found)

    def score(self, runner: Runner, reference: object, split: Split) -> Score:
        """Compare with the original's."""
        assert isinstance(reference, np.ndarray)
        found = self.reference(runner, split)
        divergence = (np.exp(reference) * (reference - found)).sum(-1)
        same = (reference.argmax(-1) == found.argmax(-1)).mean()
        return Score(float(divergence.mean()), float(same), len(found))
