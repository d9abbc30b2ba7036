"""A1111's prompt language, and how CLIP encodes it, beside diffusers' own encoding."""

from typing import Any

import pytest

from diffagent_tools.render.prompt_weights import Chunk, Part, chunks_of, parse_weights


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("", ()),
        ("a corgi", (Part("a corgi"),)),
        ("a (corgi:1.3) b", (Part("a "), Part("corgi", 1.3), Part(" b"))),
        ("(x) [y]", (Part("x", 1.1), Part(" "), Part("y", pytest.approx(1 / 1.1)))),
        ("(a, (b:2), c)", (Part("a, ", 1.1), Part("b", pytest.approx(2.2)), Part(", c", 1.1))),
        (r"a \(b\) c: d", (Part("a (b) c: d"),)),
        ("a (b:0.5", (Part("a "), Part("b:0.5", 1.1))),
        ("a ) b ]", (Part("a ) b ]"),)),
        ("Bob BREAK BREAKFAST", (Part("Bob "), None, Part(" BREAKFAST"))),
        ("\\", (Part("\\"),)),
    ],
)
def test_weights_are_read_as_a1111_reads_them(prompt: str, parts: tuple[Part | None, ...]) -> None:
    assert parse_weights(prompt) == parts


def letters(text: str) -> list[int]:
    return [ord(letter) for letter in text]


def test_chunks_end_after_75_tokens_or_at_a_comma_near_it() -> None:
    assert chunks_of((), letters) == (Chunk(),)
    long = chunks_of((Part("x" * 80, 2.0),), letters, ord(","))
    assert [len(chunk.tokens) for chunk in long] == [75, 5]
    assert set(long[1].weights) == {2.0}
    at_comma = chunks_of((Part("x" * 60 + "," + "y" * 30),), letters, ord(","))
    assert [len(chunk.tokens) for chunk in at_comma] == [61, 30]
    far = chunks_of((Part("x" * 10 + "," + "y" * 80),), letters, ord(","))
    assert [len(chunk.tokens) for chunk in far] == [75, 16]
    assert [len(c.tokens) for c in chunks_of((Part("ab"), None, Part("c")), letters)] == [2, 1]


@pytest.fixture(scope="module")
def pipelines() -> dict[str, Any]:
    pytest.importorskip("diffusers", reason="diffusers (the extra 'images') is not installed")
    from tiny_pipelines import tiny_sd, tiny_sdxl

    return {"sd1": tiny_sd(), "sdxl": tiny_sdxl()}


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_a_short_prompt_without_weights_is_encoded_as_diffusers_encodes_it(
    pipelines: dict[str, Any], kind: str
) -> None:
    import torch

    from diffagent_tools.render.prompt_encoding import TextEncoder, encode_prompts

    pipeline = pipelines[kind]
    encoders = [TextEncoder(pipeline.text_encoder, pipeline.tokenizer)]
    if kind == "sdxl":
        encoders.append(TextEncoder(pipeline.text_encoder_2, pipeline.tokenizer_2, projected=True))
    ours = encode_prompts(
        encoders, "a corgi", "", clip_skip=None, device="cpu", zero_empty_negative=kind == "sdxl"
    )
    theirs = pipeline.encode_prompt(
        "a corgi", device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=True
    )
    found = [ours.prompt, ours.negative, ours.pooled, ours.negative_pooled]
    assert len(theirs) == (4 if kind == "sdxl" else 2)
    for one, other in zip(found, theirs, strict=False):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    weighted = encode_prompts(encoders, "a (corgi:1.4)", "x" * 90, clip_skip=None, device="cpu")
    assert weighted.prompt.shape == weighted.negative.shape == (1, 154, ours.prompt.shape[2])
    if kind == "sdxl":
        # the weight multiplies the embeddings of its words and of no others
        torch.testing.assert_close(weighted.prompt[:, :2], ours.prompt[:, :2])
        torch.testing.assert_close(weighted.prompt[:, 2:7], ours.prompt[:, 2:7] * 1.4)


def test_the_packaged_tokenizer_is_clips() -> None:
    from diffagent_tools.render.pipeline_configs import clip_tokenizer

    tokenizer = clip_tokenizer()
    assert len(tokenizer) == 49408
    assert tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert (tokenizer.pad_token_id, clip_tokenizer("!").pad_token_id) == (49407, 0)


@pytest.mark.parametrize(
    ("kind", "counts"),
    [
        ("sd1", {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480}),
        (
            "sdxl",
            {
                "unet": 2_567_463_684,
                "vae": 83_653_863,
                "text_encoder": 123_060_480,
                "text_encoder_2": 694_659_840,
            },
        ),
    ],
)
def test_the_packaged_configs_give_the_known_numbers_of_weights(kind: str, counts: dict[str, int]) -> None:
    diffusers = pytest.importorskip("diffusers", reason="diffusers (the extra 'images') is not installed")
    import torch
    import transformers

    from diffagent_tools.render.pipeline_configs import CONFIGS, pipeline_config

    with pipeline_config(kind) as folder, torch.device("meta"):
        for part, count in counts.items():
            library, name = CONFIGS[kind]["model_index"][part]
            made_by = getattr({"diffusers": diffusers, "transformers": transformers}[library], name)
            if library == "diffusers":
                model = made_by.from_config(made_by.load_config(folder / part))
            else:
                model = made_by(made_by.config_class.from_pretrained(folder / part))
            assert sum(weight.numel() for weight in model.parameters()) == count, part
