"""Libraries that cost seconds or hundreds of megabytes, and so are imported where they are used."""

HEAVY = {
    *("torch", "transformers", "chromadb", "sentence_transformers", "peft", "trl", "datasets", "sklearn"),
    *(
        "diffusers",
        "scipy",
        "bm25s",
        "gguf",
        "matplotlib",
        "langchain",
        "langchain_community",
        "gradio",
        "ray",
    ),
}
# it subclasses transformers' LogitsProcessor, and is itself imported inside functions only
LAZY = {"diffagent_tools.llm.trie"}
