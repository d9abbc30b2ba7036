"""The page of `diffagent ui`; the only folder that imports Gradio."""
