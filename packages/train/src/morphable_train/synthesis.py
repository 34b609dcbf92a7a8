"""Records from `morphable_synth`'s scenes."""

import numpy as np

from morphable_synth import Sample
from morphable_train.labels import exact_labels
from morphable_train.shards import Record


def record_from_sample(sample: Sample, key: str) -> Record:
    """Turn a rendered scene into a record with exact labels; the landmarks are the static 3D points."""
    return Record(key, sample.image, exact_labels(vars(sample)), sample.skin_mask.astype(np.uint8) * 255)
