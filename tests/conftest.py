"""Settings of all tests: what Hypothesis makes up is the same on every run and no clock can fail it."""

from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")
