"""`python -m morphable_evalkit` is `evalkit`."""

import sys

from morphable_evalkit.cli import main

if __name__ == "__main__":
    sys.exit(main())
