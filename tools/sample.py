"""`facecond sample` for launchers: faces from a trained model."""

import sys

from facecond.cli import main

if __name__ == "__main__":
    sys.exit(main(["sample", *sys.argv[1:]]))
