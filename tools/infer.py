"""`textspot infer` as a script: python tools/infer.py --help"""

import sys

from textspot.cli.main import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("infer", sys.argv[1:]))
