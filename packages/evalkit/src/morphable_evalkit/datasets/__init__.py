"""Ground truth of the public data sets, in one form."""
