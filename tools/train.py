"""`facecond train` for launchers: `torchrun tools/train.py CONFIG`, `accelerate launch ...`."""

import sys

from facecond.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
