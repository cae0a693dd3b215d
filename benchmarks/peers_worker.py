"""One runtime in a process of its own, so that thread pools and libraries do not meet.

    python -m benchmarks.peers_worker RUNTIME MODEL_FOLDER

Says on stdout, one JSON document a line, what it is, then the answer to each job read from stdin.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from benchmarks.peers_runtimes import Job, load


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    # Libraries print; what they print is talk.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        runtime = load(name, folder)
    except ImportError as error:
        print(json.dumps({"missing": f"{name} is left out: {error}"}), file=answers)
        return
    about = {"version": runtime.version, "precision": runtime.precision, "ways": runtime.ways}
    print(json.dumps(about), file=answers)
    for line in sys.stdin:
        timed = runtime.answer(Job(**json.loads(line)))
        print(json.dumps(timed._asdict(), default=int), file=answers)


if __name__ == "__main__":
    main()
