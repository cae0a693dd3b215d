"""From a torch module to an ONNX graph that TensorRT and ONNX Runtime both read."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
import torch
from numpy.typing import NDArray

from xsd_edge.bundle import TensorSpec
from xsd_edge.export.networks import Network

OPSET = 20  # the highest that JetPack 6's TensorRT 10.3 reads


def write_graph(network: Network, path: Path) -> None:
    """Export with the dynamo exporter, names as the network's, checked; weights go to PATH.data.

    A tower's weights are a gigabyte, and a message that holds them is soon three: itself, its
    bytes, and what C++ parses from them. The steps behind this one read a weight when they need it.
    """
    shapes = tuple(network.dynamic.get(name) for name in network.inputs)
    with quiet():
        program = torch.onnx.export(
            network.module,
            network.example,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(network.inputs),
            output_names=list(network.outputs),
            dynamic_shapes=shapes if network.dynamic else None,
            verbose=False,
        )
        assert program is not None
        program.save(str(path), external_data=True)
    save_checked(read_graph(path), path)


def read_graph(path: Path) -> onnx.ModelProto:
    """A graph without the weights that lie beside it."""
    return onnx.load(str(path), load_external_data=False)


def save_checked(model: onnx.ModelProto, path: Path) -> None:
    """Write a graph beside its weights, if it has any there, and check it."""
    strip(model)
    onnx.save(model, str(path))
    onnx.checker.check_model(str(path), full_check=True)


def array_of(constant: onnx.TensorProto, folder: Path) -> NDArray[Any]:
    """The numbers of a constant, which may lie in a file of `folder`."""
    return onnx.numpy_helper.to_array(constant, str(folder))


def join(source: Path, destination: Path) -> None:
    """Write a graph and its weights as one file."""
    onnx.save(onnx.load(str(source)), str(destination))


def strip(model: onnx.ModelProto) -> None:
    """Remove what names this machine's files and what no consumer reads, in place."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    used = {node.domain for node in graph.node}
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def tensor_specs(
    values: Iterable[onnx.ValueInfoProto], names: Mapping[str, Mapping[int, str]] | None = None
) -> tuple[TensorSpec, ...]:
    """The manifest's description of a graph's inputs or outputs; `names` names axes of fixed length
    that vary for the caller.
    """

    def shape(value: onnx.ValueInfoProto) -> tuple[int | str, ...]:
        named = (names or {}).get(value.name, {})
        dims = enumerate(value.type.tensor_type.shape.dim)
        return tuple(named.get(i) or d.dim_param or d.dim_value for i, d in dims)

    return tuple(
        TensorSpec(
            value.name,
            onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name,
            shape(value),
        )
        for value in values
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """For exporters and quantizers: they print, log and warn about their own insides."""
    root = logging.root
    disabled, handlers, level = root.manager.disable, root.handlers[:], root.level
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        root.handlers[:] = handlers
        root.setLevel(level)
