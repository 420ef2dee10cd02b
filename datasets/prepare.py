"""`textspot prepare` as a script: python datasets/prepare.py --help"""

import sys

from textspot.cli.main import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("prepare", sys.argv[1:]))
