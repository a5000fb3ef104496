"""Token mixers, one file each, named as in the model grammar; each has `TAKES_KERNEL` and `class Mixer`."""
