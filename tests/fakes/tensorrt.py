"""A stand-in for JetPack's TensorRT: a "plan" names an ONNX file, which ONNX Runtime runs at the
addresses that the context was given. Only addresses that the fake CUDA handed out are accepted.

Put this folder on the import path to use it. Behaviour that a test wants is set in `world`.
"""

from __future__ import annotations

import enum
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from cuda.bindings import runtime as gpu
from numpy.typing import NDArray

__version__ = os.environ.get("FAKE_TENSORRT", "10.3.0")

Shape = tuple[int, ...]


class World:
    """What the stand-in is told to do, by a test or by the environment of a whole process."""

    def __init__(self) -> None:
        self.strong = "strong" not in os.environ.get("FAKE_REFUSES", "")
        self.weak = "weak" not in os.environ.get("FAKE_REFUSES", "")
        self.noise: dict[str, float] = json.loads(os.environ.get("FAKE_NOISE", "{}"))
        self.seconds: dict[str, float] = json.loads(os.environ.get("FAKE_SECONDS", "{}"))
        self.fails = ""  # execute_async_v3 answers False for files with this word in their name
        self.builds = 0
        self.interrupt_at = 0  # the build during which the user presses Ctrl-C


world = World()


class Severity(enum.IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2


class ILogger:
    Severity = Severity

    def __init__(self) -> None:
        self.ready = True

    def log(self, severity: enum.IntEnum, message: str) -> None:
        raise NotImplementedError


class TensorIOMode(enum.Enum):
    INPUT = 1
    OUTPUT = 2


class NetworkDefinitionCreationFlag(enum.IntEnum):
    EXPLICIT_BATCH = 0
    STRONGLY_TYPED = 1


class BuilderFlag(enum.IntEnum):
    FP16 = 0
    INT8 = 2


class MemoryPoolType(enum.Enum):
    WORKSPACE = 0


TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
}


def nptype(kind: str) -> type:
    return np.dtype(kind).type


def _say(logger: ILogger, message: str) -> None:
    assert logger.ready, "ILogger.__init__ was not called"
    logger.log(Severity.ERROR, message)


class Tensor:
    def __init__(self, name: str, shape: Shape) -> None:
        self.name, self.shape = name, shape


class Network:
    def __init__(self, flags: int) -> None:
        self.strong = bool(flags & (1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        self.onnx = ""
        self.inputs: list[Tensor] = []

    @property
    def num_inputs(self) -> int:
        return len(self.inputs)

    def get_input(self, index: int) -> Tensor:
        return self.inputs[index]


class OnnxParser:
    def __init__(self, network: Network, logger: ILogger) -> None:
        self.network, self.errors = network, list[str]()

    @property
    def num_errors(self) -> int:
        return len(self.errors)

    def get_error(self, index: int) -> str:
        return self.errors[index]

    def parse_from_file(self, path: str) -> bool:
        try:
            session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
        except Exception as error:
            self.errors.append(f"In node 0 (importModel): INVALID_GRAPH: {error}")
            return False
        self.network.onnx = str(Path(path).resolve())
        for each in session.get_inputs():
            shape = tuple(d if isinstance(d, int) else -1 for d in each.shape)
            self.network.inputs.append(Tensor(each.name, shape))
        return True


class TimingCache:
    def __init__(self, blob: bytes) -> None:
        self.blob = blob

    def serialize(self) -> bytes:
        return self.blob + b"."


class BuilderConfig:
    def __init__(self) -> None:
        self.flags: set[BuilderFlag] = set()
        self.cache: TimingCache | None = None
        self.builder_optimization_level = 3

    def set_flag(self, flag: BuilderFlag) -> None:
        self.flags.add(flag)

    def set_memory_pool_limit(self, pool: MemoryPoolType, size: int) -> None:
        assert size >= 1 << 20

    def create_timing_cache(self, blob: bytes) -> TimingCache:
        return TimingCache(blob)

    def set_timing_cache(self, cache: TimingCache, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        self.cache = cache
        return True

    def get_timing_cache(self) -> TimingCache | None:
        return self.cache


class Builder:
    def __init__(self, logger: ILogger) -> None:
        self.logger = logger

    def create_network(self, flags: int) -> Network:
        return Network(flags)

    def create_builder_config(self) -> BuilderConfig:
        return BuilderConfig()

    def build_serialized_network(self, network: Network, config: BuilderConfig) -> bytes | None:
        world.builds += 1
        if world.builds == world.interrupt_at:
            raise KeyboardInterrupt
        if not (world.strong if network.strong else world.weak):
            _say(self.logger, "Error Code 9: no tactic for this network")
            return None
        if not network.strong and not config.flags:
            raise AssertionError("a weakly typed network without precision flags runs in FP32")
        assert all(-1 not in t.shape for t in network.inputs), "no optimization profile"
        return json.dumps({"tensorrt": __version__, "onnx": network.onnx}).encode()


class Context:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.addresses: dict[str, int] = {}

    def set_tensor_address(self, name: str, address: int) -> bool:
        assert gpu.is_device_address(address), f"{name}: not an address of the GPU"
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert self.addresses.keys() == {*self.engine.inputs, *self.engine.outputs}
        if world.fails and world.fails in Path(self.engine.onnx).name:
            _say(self.engine.logger, "Error Code 1: Cuda Runtime (invalid argument)")
            return False
        gpu.submit(stream_handle, self._compute, sleep=self.engine.value(world.seconds))
        return True

    def _read(self, name: str) -> NDArray[Any]:
        shape, kind = self.engine.get_tensor_shape(name), self.engine.types[name]
        array: NDArray[Any] = gpu.at(self.addresses[name], shape, kind)
        return array

    def _compute(self) -> None:
        found = self.engine.run({n: self._read(n) for n in self.engine.inputs})
        noise = self.engine.value(world.noise)
        for name, array in found.items():
            if noise:
                rng = np.random.default_rng(0)
                array = array + rng.normal(0, noise * np.abs(array).max(), array.shape)
            gpu.at(self.addresses[name], array.shape, self.engine.types[name])[...] = array


class Engine:
    def __init__(self, plan: dict[str, Any], logger: ILogger) -> None:
        self.onnx, self.logger = plan["onnx"], logger
        self.session = ort.InferenceSession(self.onnx, providers=["CPUExecutionProvider"])
        self.inputs = [i.name for i in self.session.get_inputs()]
        self.outputs = [o.name for o in self.session.get_outputs()]
        both = (*self.session.get_inputs(), *self.session.get_outputs())
        self.types = {t.name: TYPES[t.type] for t in both}
        self.given = {t.name: t.shape for t in both}

    def run(self, feeds: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return dict(zip(self.outputs, self.session.run(None, feeds), strict=True))

    def value(self, by_precision: dict[str, float]) -> float:
        """What the world says of this graph, by a word in its file's name."""
        return next((v for word, v in by_precision.items() if word in Path(self.onnx).name), 0.0)

    @property
    def num_io_tensors(self) -> int:
        return len(self.inputs) + len(self.outputs)

    def get_tensor_name(self, index: int) -> str:
        names: list[str] = [*self.inputs, *self.outputs]
        return names[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self.inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> str:
        return self.types[name]

    def get_tensor_shape(self, name: str) -> Shape:
        return tuple(d if isinstance(d, int) else -1 for d in self.given[name])

    def create_execution_context(self) -> Context | None:
        return Context(self)


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        self.logger = logger

    def deserialize_cuda_engine(self, blob: bytes) -> Engine | None:
        try:
            plan = json.loads(blob)
        except ValueError:
            _say(self.logger, f"Magic tag does not match ({hashlib.sha256(blob).hexdigest()[:8]})")
            return None
        if plan["tensorrt"] != __version__:
            _say(self.logger, f"The engine was made by TensorRT {plan['tensorrt']}")
            return None
        return Engine(plan, self.logger)
