"""`facecond sensitivity` for research chores: which layer of a model answers to which source."""

import sys

from facecond.cli import main

if __name__ == "__main__":
    sys.exit(main(["sensitivity", *sys.argv[1:]]))
