"""A look at the pixels of each found face.

The coarse estimate (place, size, roll) cuts an upright crop of 224 x 224 samples out of the picture (`crops`). A
network reads it (`network`), and what it gives (`reading`) replaces rotation, place, identity and expression of the
estimate; albedo and light stay.
"""
