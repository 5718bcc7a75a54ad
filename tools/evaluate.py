"""`facecond evaluate` for launchers: scores of a trained model.

torchrun --nproc_per_node=N -- tools/evaluate.py MODEL --data DIR (the `--` keeps torchrun from
reading `--n`)
"""

import sys

from facecond.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
