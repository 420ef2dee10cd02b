"""`textspot evaluate` as a script: python tools/evaluate.py --help"""

import sys

from textspot.cli.main import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("evaluate", sys.argv[1:]))
