"""Training of the per-face networks: Mobile-FRNet, PRNet, DF-MVR and face parsing."""
