"""`python -m morphable_reconstruct` is the command `reconstruct`."""

from morphable_reconstruct.commands.entry import main

if __name__ == "__main__":
    raise SystemExit(main())
