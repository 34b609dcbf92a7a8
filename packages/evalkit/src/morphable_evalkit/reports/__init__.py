"""Tables, result files, plots and published numbers."""
