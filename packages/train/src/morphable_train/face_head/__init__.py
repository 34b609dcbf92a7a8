"""Training of the face head: crops of single faces alone, no detector in the loop."""
