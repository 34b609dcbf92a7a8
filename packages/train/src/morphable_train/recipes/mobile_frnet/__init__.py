"""Mobile-FRNet: pose, identity and expression of one face."""
