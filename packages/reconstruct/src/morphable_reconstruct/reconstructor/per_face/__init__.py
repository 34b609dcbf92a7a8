"""One network pass per face, after the single-shot network's boxes: Mobile-FRNet, PRNet, DF-MVR."""
