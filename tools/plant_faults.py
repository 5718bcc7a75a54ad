"""`facecond data faults` for launchers: plant faults, and measure how many the doctor finds."""

import sys

from facecond.cli import main

if __name__ == "__main__":
    sys.exit(main(["data", "faults", *sys.argv[1:]]))
