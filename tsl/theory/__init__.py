"""What the theorems say, as functions of tensors."""
