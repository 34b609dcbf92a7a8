"""Rendered scenes as data sets: on the fly, as shards, as sheets."""
