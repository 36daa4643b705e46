"""Which operators of ONNX a target's runtime lacks: the list ``lacks`` in ``rules/targets``.

    python benchmarks/operators.py                     native-cpu
    python benchmarks/operators.py --target web-wasm   in node

Every version of every operator of the installed onnx that is in force at opset 7 or later is
opened in models of one node, with several types of inputs, in a process of its own. An operator is
there if one of them opens, or if the runtime gets as far as making its kernel, which then asks for
another attribute. It is lacking if not, and the runtime says of one model that it has no such
operator, no kernel for it, or does not know the opset. If nothing is said of that either, it is
unknown, unless the native runtime has registered a kernel for that version. What is there need not
be there for every type of its inputs.

What is printed are the operators lacking and unknown, and what the target's file says instead. Ends
with 1 if that is something else.
"""

from __future__ import annotations

import argparse
import base64
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from onnx import TensorProto, TypeProto, defs, helper, numpy_helper

from toolchain.errors import UnusableError
from toolchain.execution.local import LocalPool
from toolchain.formats.onnx_operators import called, registered
from toolchain.formats.onnx_session import session
from toolchain.quantization import targets
from toolchain.quantization.measuring import web_runtime
from toolchain.quantization.targets import Runtime, Target
from toolchain.sources import tools

_FIRST_OPSET = 7  # onnxruntime knows nothing older
_IR_VERSION = 10
_SECONDS = 120.0  # of all models, on a busy machine; they take one natively and eight in node
_TYPES = ("float", "int64", "int32", "uint8", "string", "bool", "double", "float16")
_LACKING = (
    "Could not find an implementation",
    "Failed to find kernel",
    "is not a registered",
    "model_load_utils.h",  # the opset is newer than the runtime
)
_MADE = ("Exception during initialization", "core/providers/", "op_node_proto_helper.h")

_Attribute = defs.OpSchema.AttrType
_Option = defs.OpSchema.FormalParameterOption
_ONE = numpy_helper.from_array(np.ones(1, np.float32), "one")
_BRANCH = helper.make_graph(
    [helper.make_node("Constant", [], ["out"], value=_ONE)],
    "branch",
    [],
    [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1])],
)
_VALUES = {
    _Attribute.INT: 1,
    _Attribute.INTS: [1],
    _Attribute.FLOAT: 1.0,
    _Attribute.FLOATS: [1.0],
    _Attribute.STRING: "a",
    _Attribute.STRINGS: ["a"],
    _Attribute.TENSOR: _ONE,
    _Attribute.GRAPH: _BRANCH,
}
_NEEDED = {"Constant": {"value": _ONE}}  # what a definition does not say that it needs


def main() -> int:
    """Open, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", default="native-cpu", choices=targets.names())
    target = targets.load(parser.parse_args().target)
    schemas = list(_in_force())
    rows = [list(_models(schema)) for schema in schemas]
    answers = _natively(rows) if target.runtime is Runtime.NATIVE else _in_node(rows, target)
    lacking, unknown = [], []
    for schema, said in zip(schemas, answers, strict=True):
        if _is_there(said) or (target.runtime is Runtime.NATIVE and registered(schema)):
            continue
        (lacking if any(map(_is_lacking, said)) else unknown).append(schema)
    return _printed(schemas, _names(lacking), _names(unknown), target)


def _in_force() -> Iterator[defs.OpSchema]:
    """Yield the definitions that a model of opset 7 or later can mean."""
    versions: defaultdict[tuple[str, str], list[defs.OpSchema]] = defaultdict(list)
    for schema in defs.get_all_schemas_with_history():
        versions[schema.domain, schema.name].append(schema)
    for _, schemas in sorted(versions.items()):
        schemas.sort(key=lambda s: s.since_version)
        for schema, following in zip(schemas, [*schemas[1:], None], strict=True):
            old = following and not schema.domain and following.since_version <= _FIRST_OPSET
            if not old and not schema.deprecated:
                yield schema


def _models(schema: defs.OpSchema) -> Iterator[bytes]:
    """Yield models of one node: inputs of every type, without and with optional ones."""
    for wanted in _TYPES:
        types = {
            c.type_param_str: _chosen(f"tensor({wanted})", c.allowed_type_strs)
            for c in schema.type_constraints
        }
        for full in (False, True):
            given = [types.get(i.type_str, i.type_str) for i in _inputs(schema, full=full)]
            yield _model(schema, given)


def _chosen(wanted: str, allowed: Sequence[str]) -> str:
    return wanted if wanted in allowed else allowed[0]


def _inputs(schema: defs.OpSchema, *, full: bool) -> Iterator[defs.OpSchema.FormalParameter]:
    for parameter in schema.inputs:
        if parameter.option == _Option.Optional and not full:
            return
        is_variadic = parameter.option == _Option.Variadic
        more = max(0, schema.min_input - len(schema.inputs)) if is_variadic else 0
        yield from [parameter] * (1 + more)


def _model(schema: defs.OpSchema, types: Sequence[str]) -> bytes:
    values = {n: _VALUES[a.type] for n, a in schema.attributes.items() if a.required}
    values |= _NEEDED.get(schema.name, {})
    names = [f"x{i}" for i in range(len(types))]
    outputs = [f"y{i}" for i in range(max(1, schema.min_output))]
    node = helper.make_node(schema.name, names, outputs, domain=schema.domain, **values)
    graph = helper.make_graph(
        [node],
        schema.name,
        [helper.make_value_info(n, _type(t)) for n, t in zip(names, types, strict=True)],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
    )
    since = max(schema.since_version, 1 if schema.domain else _FIRST_OPSET)
    imports = {"": 21, schema.domain: since}
    opsets = [helper.make_opsetid(domain, version) for domain, version in imports.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _type(text: str) -> TypeProto:
    """Return what a definition writes as ``seq(tensor(float))``."""
    head, _, rest = text.strip().partition("(")
    inner = rest.removesuffix(")")
    if head == "tensor":
        return helper.make_tensor_type_proto(TensorProto.DataType.Value(inner.upper()), None)
    if head == "seq":
        return helper.make_sequence_type_proto(_type(inner))
    if head == "optional":
        return helper.make_optional_type_proto(_type(inner))
    key, _, value = inner.partition(",")
    value = value.strip() if "(" in value else f"tensor({value.strip()})"
    return helper.make_map_type_proto(TensorProto.DataType.Value(key.upper()), _type(value))


def _natively(rows: Sequence[Sequence[bytes]]) -> list[list[str]]:
    outcome = next(iter(LocalPool(workers=1, item_seconds=_SECONDS).run(_opened, [rows])))
    return outcome.get()


def _opened(rows: Sequence[Sequence[bytes]]) -> list[list[str]]:
    return [list(_answers(row)) for row in rows]


def _answers(models: Sequence[bytes]) -> Iterator[str]:
    for model in models:
        try:
            session(model)
        except UnusableError as refused:
            yield str(refused)
        else:
            yield ""
            return


def _in_node(rows: Sequence[Sequence[bytes]], target: Target) -> list[list[str]]:
    models = [[base64.b64encode(model).decode() for model in row] for row in rows]
    done = subprocess.run(
        [tools.node(), "--no-warnings", Path(__file__).with_suffix(".mjs")],
        input=json.dumps({"runtime": str(web_runtime(target)), "models": models}).encode(),
        stdout=subprocess.PIPE,
        timeout=_SECONDS,
        check=True,
    )
    answers: list[list[str]] = json.loads(done.stdout)
    return answers


def _is_there(said: Sequence[str]) -> bool:
    return any(not text or any(sign in text for sign in _MADE) for text in said)


def _is_lacking(text: str) -> bool:
    return any(sign in text for sign in _LACKING)


def _names(schemas: Sequence[defs.OpSchema]) -> list[str]:
    return sorted(f"{called(s.domain, s.name)}-{s.since_version}" for s in schemas)


def _printed(
    schemas: Sequence[defs.OpSchema], lacking: list[str], unknown: list[str], target: Target
) -> int:
    print(f"{target.name}: {len(schemas)} operators (each version counts) were opened")
    listed = set(target.lacks)
    groups = {
        "lacking": lacking,
        "unknown": unknown,
        "lacking, not in the list": sorted(set(lacking) - listed),
        "in the list, not lacking": sorted(listed - set(lacking)),
    }
    for what, names in groups.items():
        print(f"{what}: {len(names)}", *names, sep="\n  ")
    return int(listed != set(lacking))


if __name__ == "__main__":
    sys.exit(main())
