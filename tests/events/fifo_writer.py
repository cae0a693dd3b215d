"""A process of its own that writes a file into a FIFO at a steady rate, or dies on the way.

Usage: fifo_writer.py FILE FIFO BYTES_PER_SECOND [BYTES]
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

PORTION_S = 0.002


def main() -> None:
    data, rate = Path(sys.argv[1]).read_bytes(), float(sys.argv[3])
    dies_after = int(sys.argv[4]) if len(sys.argv) > 4 else None
    with open(sys.argv[2], "wb", buffering=0) as fifo:
        start, sent = time.monotonic(), 0
        while sent < len(data):
            due = min(int((time.monotonic() - start) * rate) + 512, dies_after or len(data))
            sent += fifo.write(data[sent:due])
            if sent == dies_after:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(PORTION_S)


if __name__ == "__main__":
    main()
