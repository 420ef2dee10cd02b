"""`textspot benchmark` as a script: python tools/benchmark.py --help"""

import sys

from textspot.cli.main import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("benchmark", sys.argv[1:]))
