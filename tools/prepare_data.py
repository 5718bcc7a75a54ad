"""`facecond data prepare` for launchers: raw data -> prepared folder."""

import sys

from facecond.cli import main

if __name__ == "__main__":
    sys.exit(main(["data", "prepare", *sys.argv[1:]]))
