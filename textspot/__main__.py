"""`python -m textspot` is the `textspot` command."""

import sys

from textspot.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
