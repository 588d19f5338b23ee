"""Painters of what scenes show."""
