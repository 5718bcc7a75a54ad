"""`facecond attribute-split` for launchers: which attributes the mask alone tells."""

import sys

from facecond.cli import main

if __name__ == "__main__":
    sys.exit(main(["attribute-split", *sys.argv[1:]]))
