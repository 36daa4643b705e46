"""A language model answers the same however its exporter wrote its inputs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import application
import foreign_llm
import onnx
import pytest
from foreign_llm import Style

from toolchain.errors import ConfigError, InputError
from toolchain.voice import pipeline
from toolchain.voice.stage import Llm

QUESTIONS = ["Hello?", "a", "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich 🙂"]

STYLES = {
    "optimum": Style("past_key_values", mask=True, positions=True),
    "optimum, half": Style("past_key_values", half=True, mask=True, positions=True),
    "merged": Style("past_key_values", mask=True, branch=True),
    "last logits only": Style("past_key_values", mask=True, positions=True, keep=True),
    "other presents": Style("past_key_values", "present_key_values"),
    "no cache": Style(mask=True, positions=True, cached=False),
    "no cache, no mask": Style(cached=False),
}


@pytest.fixture(scope="module")
def tiny() -> onnx.ModelProto:
    return foreign_llm.tiny()


def opened(folder: Path, model: bytes, **options: object) -> Llm:
    files = {"llm.onnx": folder / "llm.onnx", "tokenizer.json": folder / "tokenizer.json"}
    files["llm.onnx"].write_bytes(model)
    if not files["tokenizer.json"].exists():
        files["tokenizer.json"].write_text(json.dumps(foreign_llm.tokenizer()), "utf-8")
    table = {"adapter": "llama", "model": "llm.onnx", "tokenizer": "tokenizer.json", **options}
    return pipeline.load_stage({"llm": table}, "llm", files)


def answers(llm: Llm) -> list[list[int]]:
    return [[t.id for t in llm.stream([q])] for q in QUESTIONS]


OWN = {
    "system": ("<|bot|>", ""),
    "user": ("<|user|>Question: ", "\n"),
    "assistant": ("<|bot|>Answer:", "<|im_end|>"),
}
NO_SYSTEM = {**OWN, "system": ("", "")}


@pytest.mark.parametrize("told", [{}, {"template": NO_SYSTEM, "system": ""}], ids=["told", "new"])
@pytest.mark.parametrize("style", STYLES)
def test_the_answer_does_not_depend_on_how_the_model_was_exported(
    style: str, told: dict[str, object], tiny: onnx.ModelProto, tmp_path: Path
) -> None:
    plain = opened(tmp_path, foreign_llm.written(tiny, Style()), max_tokens=8, **told)
    other = opened(tmp_path, foreign_llm.written(tiny, STYLES[style]), max_tokens=8, **told)
    expected = answers(plain)
    assert len({tuple(a) for a in expected}) > 1
    assert answers(other) == expected
    assert other.choices(QUESTIONS[0], expected[0]) == expected[0]


def test_the_real_model_with_masks_and_half_precision_knows_the_capital_too(
    files: dict[str, Path], tmp_path: Path
) -> None:
    model = onnx.load(files["models/smollm2.gguf"])
    foreign = tmp_path / "foreign.onnx"
    style = Style("past_key_values", half=True, mask=True, positions=True, keep=True)
    foreign.write_bytes(foreign_llm.written(model, style))
    llm = pipeline.load_stage(application.voice(), "llm", {**files, "models/smollm2.gguf": foreign})
    answer = "".join(t.text for t in llm.stream(["What is the capital of France?"]))
    assert answer == "The capital of France is Paris."


def test_a_template_of_ones_own_is_written_around_the_question(
    tiny: onnx.ModelProto, tmp_path: Path
) -> None:
    model = foreign_llm.written(tiny, Style())
    llm = opened(tmp_path, model, template=OWN, system="Be kind.")
    said = llm.asked("Who <|im_end|> is it?")  # type: ignore[attr-defined]  # of the adapter
    names = {n: f"<|{n}|>" for n in (258, 259)}
    spelled = "".join(names.get(i) or chr(i) for i in said)
    assert spelled == "<|258|>Question: Who <|im_end|> is it?\n<|259|>Answer:"


def test_an_answer_ends_at_the_token_that_the_project_names(
    tiny: onnx.ModelProto, tmp_path: Path
) -> None:
    model = foreign_llm.written(tiny, Style())
    whole = opened(tmp_path, model, max_tokens=8)
    free = answers(whole)[0]
    name = "".join(whole.vocabulary.decode([free[3]]))  # type: ignore[attr-defined]
    name = name or foreign_llm.CONTROLS[free[3] - 256]
    capped = opened(tmp_path, model, max_tokens=8, stop=[name])
    assert answers(capped)[0] == free[: free.index(free[3])]


WRONG: dict[str, tuple[Mapping[str, Any], str]] = {
    "a role is missing": ({"template": {"user": ["a", "b"]}}, "template is for user"),
    "a stop of two tokens": ({"stop": ["no"]}, "stop 'no' is 2 tokens"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_template_is_refused(what: str, tiny: onnx.ModelProto, tmp_path: Path) -> None:
    options, fact = WRONG[what]
    with pytest.raises(ConfigError, match=fact) as caught:
        opened(tmp_path, foreign_llm.written(tiny, Style()), **options)
    assert caught.value.hint


def test_a_question_beyond_the_context_is_refused_with_the_numbers(
    tiny: onnx.ModelProto, tmp_path: Path
) -> None:
    llm = opened(tmp_path, foreign_llm.written(tiny, Style()), context=200, max_tokens=8)
    assert list(llm.stream(["x" * 50]))
    with pytest.raises(InputError, match=r"has 5\d\d tokens, 1\d\d fit") as caught:
        list(llm.stream(["x" * 500]))
    assert "context" in caught.value.hint


def test_a_tokenizer_with_more_tokens_than_the_model_has_is_refused(
    tiny: onnx.ModelProto, tmp_path: Path
) -> None:
    more = foreign_llm.tokenizer()
    more["added_tokens"] = [*more["added_tokens"], {"id": 400, "content": "<x>"}]  # type: ignore[misc]
    (tmp_path / "tokenizer.json").write_text(json.dumps(more), "utf-8")
    with pytest.raises(InputError, match=r"tokenizer\.json has 401 tokens, llm\.onnx .* 260"):
        opened(tmp_path, foreign_llm.written(tiny, Style()))


def test_an_input_that_nobody_knows_is_named(tiny: onnx.ModelProto, tmp_path: Path) -> None:
    strange = foreign_llm.written(tiny, Style(mask=True)).replace(
        b"attention_mask", b"attention_mood"
    )
    with pytest.raises(InputError, match="what does attention_mood take") as caught:
        opened(tmp_path, strange)
    assert "past_key_values.N.key" in caught.value.hint


def test_a_past_that_no_output_continues_is_named(tiny: onnx.ModelProto, tmp_path: Path) -> None:
    lost = foreign_llm.written(tiny, Style("past_key_values", "memory"))
    with pytest.raises(InputError, match=r"no output continues past_key_values\.0\.key"):
        opened(tmp_path, lost)


def test_a_past_of_fixed_length_is_refused(tiny: onnx.ModelProto, tmp_path: Path) -> None:
    model = onnx.load_from_string(foreign_llm.written(tiny, Style()))
    for one in model.graph.input:
        if one.name.startswith("past."):
            one.type.tensor_type.shape.dim[2].dim_value = 16
    with pytest.raises(InputError, match=r"where is its past\?"):
        opened(tmp_path, model.SerializeToString())
