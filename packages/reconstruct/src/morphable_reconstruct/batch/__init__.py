"""Many sources: results, records, report."""
