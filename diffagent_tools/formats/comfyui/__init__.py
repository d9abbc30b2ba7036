"""A call as a workflow of ComfyUI, written, and read back from any workflow that makes a picture."""
