#!/usr/bin/env bash
# xsd-edge on JetPack 6.2 (L4T R36: Ubuntu 22.04, Python 3.10, CUDA 12.6, TensorRT 10.3).
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/install.sh" 36 'cuda-bindings>=12.9,<13' \
  'onnxruntime-gpu --index-url https://pypi.jetson-ai-lab.io/jp6/cu126'
