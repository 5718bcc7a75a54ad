"""`facecond ablate` for launchers: an ablation study, variants x seeds."""

import sys

from facecond.cli import main

if __name__ == "__main__":
    sys.exit(main(["ablate", *sys.argv[1:]]))
