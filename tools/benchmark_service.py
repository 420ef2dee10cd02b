"""`textspot benchmark-service` as a script: python tools/benchmark_service.py --help"""

import sys

from textspot.cli.main import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("benchmark-service", sys.argv[1:]))
