"""The prediction file: its arrays, its checks, its reader and its writer."""
