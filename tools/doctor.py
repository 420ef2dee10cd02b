"""`textspot doctor` as a script: python tools/doctor.py --help"""

import sys

from textspot.cli.main import run_verb

if __name__ == "__main__":
    sys.exit(run_verb("doctor", sys.argv[1:]))
