"""The commands of `evalkit`, one module each."""
