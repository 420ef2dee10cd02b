"""`textspot benchmark-data` as a script: python tools/benchmark_data.py --help"""

import sys

from textspot.cli.main import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("benchmark-data", sys.argv[1:]))
