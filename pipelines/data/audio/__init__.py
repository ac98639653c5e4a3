"""Sound: reading, features, augmentation, file layouts."""
