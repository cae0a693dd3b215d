#!/usr/bin/env bash
# Installs xsd-edge into a venv that sees JetPack's own TensorRT. Called by install-jetpack-*.sh with:
#   install.sh L4T_MAJOR CUDA_BINDINGS ONNXRUNTIME
# ONNXRUNTIME is what pip needs to install an ONNX Runtime with CUDA, or empty for the CPU's only.
# The environment may set VENV, EXTRAS and ONNXRUNTIME (a wheel of your own).
set -euo pipefail

readonly L4T_MAJOR="$1" CUDA_BINDINGS="$2"
readonly VENV="${VENV:-/opt/xsd-edge}"
readonly EXTRAS="${EXTRAS:-tensorrt,camera}"
read -r -a ONNXRUNTIME_ARGUMENTS <<<"${ONNXRUNTIME:-$3}"
CHECKOUT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
readonly CHECKOUT

die() {
  printf '%s: %s\n' "$(basename "$0")" "$1" >&2
  exit 1
}

found="$(sed -n 's/^# R\([0-9]*\) .*/\1/p' /etc/nv_tegra_release 2>/dev/null || true)"
[[ -n "$found" ]] || die "this is no Jetson (no /etc/nv_tegra_release); in a checkout: pip install ."
[[ "$found" == "$L4T_MAJOR" ]] || die "this is L4T R$found, not R$L4T_MAJOR; use the other install-jetpack script"
python3 -c 'import tensorrt' 2>/dev/null || die "TensorRT is missing; first: sudo apt install nvidia-jetpack"

if ! python3 -c 'import ensurepip' 2>/dev/null; then
  sudo apt-get install --yes python3-venv
fi
if [[ ! -d "$VENV" ]] && ! mkdir -p "$VENV" 2>/dev/null; then
  sudo install -d -o "$(id -u)" -g "$(id -g)" "$VENV"
fi
# System site packages are where JetPack puts TensorRT; the one on PyPI does not run on Orin.
python3 -m venv --system-site-packages "$VENV"
"$VENV/bin/pip" install --upgrade pip
"$VENV/bin/pip" install "${CHECKOUT}[${EXTRAS}]" "$CUDA_BINDINGS"
if ((${#ONNXRUNTIME_ARGUMENTS[@]})); then
  # Both packages hold the same files: the one without CUDA has to go first.
  "$VENV/bin/pip" uninstall --yes onnxruntime
  "$VENV/bin/pip" install --no-deps --force-reinstall "${ONNXRUNTIME_ARGUMENTS[@]}"
fi

sudo "$VENV/bin/xsd-edge" setup-udev
printf '\nInstalled. What doctor says:\n\n'
"$VENV/bin/xsd-edge" doctor || printf '\nMend what is broken above, then: %s doctor\n' "$VENV/bin/xsd-edge"
