"""tsl: teacher-student experiments in PyTorch Lightning."""
