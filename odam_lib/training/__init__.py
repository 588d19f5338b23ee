"""Training, with Odam-Train as a term of the loss."""
