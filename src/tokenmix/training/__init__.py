"""The training of one run: engine, augmentation, schedule, store and lease, resumable state."""
