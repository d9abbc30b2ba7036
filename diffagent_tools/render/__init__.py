"""A call becomes pictures; the only folder that imports diffusers."""
