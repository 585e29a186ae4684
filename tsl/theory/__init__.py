"""The statements of the theorems, as functions of tensors."""
