"""`python -m morphable_synth` is the command `morphable-synth`."""

from morphable_synth.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
