"""A call in other programs' words, both ways: A1111, ComfyUI, diffusers, pictures' metadata."""
