"""`textspot export` as a script: python tools/export.py --help"""

import sys

from textspot.cli.main import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("export", sys.argv[1:]))
