"""Accuracy of any selector, as numbers and files."""
