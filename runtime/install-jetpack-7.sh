#!/usr/bin/env bash
# xsd-edge on JetPack 7.2 (L4T R39: Ubuntu 24.04, Python 3.12, CUDA 13.2, TensorRT 10.16).
# No published ONNX Runtime has kernels for Orin there: build one with CMAKE_CUDA_ARCHITECTURES=87
# (docs/deploying.md) and call this with ONNXRUNTIME=/path/to/onnxruntime_gpu-....whl
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/install.sh" 39 'cuda-bindings>=13,<14' ''
