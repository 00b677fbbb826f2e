"""Do the job that comes in by standard input; bench/accuracy.py and bench/choose.py start this."""

from __future__ import annotations

import json
import pickle
import sys

from learning.process import Job


def main() -> None:
    """Print what the job returns, as one line."""
    job: Job = pickle.load(sys.stdin.buffer)
    print(json.dumps(job.run()))


if __name__ == "__main__":
    main()
