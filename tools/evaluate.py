"""`facecond evaluate` for launchers: scores of a trained model."""

import sys

from facecond.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
