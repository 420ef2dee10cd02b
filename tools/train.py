"""`textspot train` as a script: python tools/train.py --help"""

import sys

from textspot.cli.main import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("train", sys.argv[1:]))
