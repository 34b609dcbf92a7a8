"""`python -m morphable_train`: the command line, for `torchrun`."""

import sys

from morphable_train.cli import main

if __name__ == "__main__":
    sys.exit(main())
