"""Stage 2, ranking responses by human feedback (paper section 3.2.2, Eq. 7-10)."""
