"""The paper's equations: tensors in, tensors out."""
