"""What the recipes share: crops with part labels, batches, truth in the crop, errors."""
