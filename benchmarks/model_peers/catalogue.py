"""Which models are measured, and where their bytes and their tasks' files come from."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import minilm
import onnx
from onnx import numpy_helper

from toolchain.formats.llama_float import write_fp32
from toolchain.ir import digest_of
from toolchain.passes.base import Step
from toolchain.passes.import_ort import ImportOrt
from toolchain.resources import cache_folder
from toolchain.sources import address, lock, registries
from toolchain.sources.cache import Unpacked
from toolchain.tables import load, table

_FOLDER = Path(__file__).parent.parent
_LIST = _FOLDER / "models.toml"
_LOCK = _FOLDER / "models.lock"


@table
class Data:
    """Files in the folder ``member`` of a package; a task knows them as ``name/<file>``."""

    name: str
    package: str
    member: str
    ending: str
    inside: str | None = None  # of the one file, a zip: this member of it


@table
class Model:
    """One model of ``models.toml``."""

    name: str
    what: str
    licence: str
    package: str
    member: str
    task: Mapping[str, Any]
    data: tuple[str, ...] = ()
    step: tuple[Step, ...] = ()  # lossless ones before the search, beside those of every model
    bar_bytes: int | None = None  # download, from the goal
    products: bool = False  # most of its time goes into float32 matrix products

    @property
    def slug(self) -> str:
        """The name as a file name."""
        return self.name.replace(" ", "-")


@table
class Catalogue:
    """What ``models.toml`` holds."""

    data: tuple[Data, ...]
    model: tuple[Model, ...]

    def files(self, model: Model) -> dict[str, Path]:
        """Return the files that the model's task reads, by the names it knows them by."""
        found: dict[str, Path] = {}
        for data in self.data:
            if data.name in model.data:
                for name, file in _unpacked(data.package).files.items():
                    if name.startswith(data.member) and name.endswith(data.ending):
                        path = _inside(file.path, data.inside) if data.inside else file.path
                        short = data.inside or name.removeprefix(data.member)
                        found[f"{data.name}/{short}"] = path
        return found


def catalogue() -> Catalogue:
    """Read ``models.toml``."""
    return load(_LIST, Catalogue)


def shipped(model: Model) -> Path:
    """Return the model's file as its package has it."""
    return _unpacked(model.package).files[model.member].path


def written(model: Model, path: Path) -> None:
    """Write to ``path`` the ONNX model that all tools are given.

    ORT becomes ONNX with the same operators and bits, GGUF and safetensors become float32 graphs as
    an exporter writes them.
    """
    source = shipped(model)
    if source.suffix == ".ort":
        path.write_bytes(ImportOrt().rewrite(source.read_bytes()))
    elif source.suffix == ".gguf":
        with TemporaryDirectory(dir=path.parent) as folder:
            model_proto = onnx.load(write_fp32(source, Path(folder)))
            write_products(model_proto.graph)
            onnx.save(model_proto, path)
    elif source.suffix == ".zip":
        minilm.main(source, path)
    else:
        path.write_bytes(source.read_bytes())


def write_products(graph: onnx.GraphProto) -> None:
    """Write each Gemm on a turned matrix of its own as MatMul, as torch's exporter does.

    Quantizers look for MatMul; a matrix that others read too (a tied embedding) stays.
    """
    stored = {tensor.name: tensor for tensor in graph.initializer}
    readers = Counter(name for node in graph.node for name in node.input)
    for node in graph.node:
        if node.op_type != "Gemm" or len(node.input) != 2 or readers[node.input[1]] != 1:  # noqa: PLR2004 - no bias
            continue
        tensor = stored[node.input[1]]
        turned = numpy_helper.to_array(tensor).T.copy()
        tensor.CopyFrom(numpy_helper.from_array(turned, tensor.name))
        node.op_type = "MatMul"
        del node.attribute[:]


def _inside(archive: Path, member: str) -> Path:
    """Return a member of a zip as a file of its own, in the user's cache."""
    with zipfile.ZipFile(archive) as opened:
        data = opened.read(member)
    path = home() / f"{digest_of(data)}-{member}"
    if not path.exists():
        path.write_bytes(data)
    return path


def home() -> Path:
    """Return the folder of the user's cache in which everything is kept."""
    path = cache_folder() / "benchmark-models"
    path.mkdir(parents=True, exist_ok=True)
    return path


@cache
def _unpacked(package: str) -> Unpacked:
    pinned = load(_LOCK, lock.Lock).find(address.exact(package)).pinned
    return registries.unpacked(pinned)
