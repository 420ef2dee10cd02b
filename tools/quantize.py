"""`textspot quantize` as a script: python tools/quantize.py --help"""

import sys

from textspot.cli.main import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("quantize", sys.argv[1:]))
