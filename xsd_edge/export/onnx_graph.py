"""From a torch module to an ONNX graph that TensorRT and ONNX Runtime both read."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import onnx
import torch

from xsd_edge.bundle import TensorSpec
from xsd_edge.export.networks import Network

OPSET = 20  # the highest that JetPack 6's TensorRT 10.3 reads


def write_graph(network: Network, path: Path) -> None:
    """Export with the dynamo exporter, names as the network's, checked."""
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
    model = program.model_proto
    strip(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


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
