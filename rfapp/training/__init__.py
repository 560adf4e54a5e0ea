"""Training: augmentation, losses, the trainer. torch is loaded by the modules that need it, not by this one."""
