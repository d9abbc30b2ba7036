"""Faster products on processors with bf16 instructions: frozen linear layers with weights rounded once.

    if rounding_pays(model):
        round_frozen_linears(model)

fp32 everywhere else: the residual stream, norms, attention, the output layer. On a processor with AVX512-BF16
a product is three to four times as fast; on one without it would be slower than fp32.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def rounding_pays(model: Any) -> bool:
    """Whether the model is fp32 on a processor that multiplies bf16 itself."""
    import torch

    weight = next(model.parameters())
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        # no public name tells whether the AVX512 has the BF16 instructions
        and torch.cpu._is_avx512_bf16_supported()
    )


def round_frozen_linears(model: Any) -> None:
    """Lets linear layers without gradient multiply in bf16, with weights that are rounded once.

    Autocast rounds frozen weights anew at every call, which costs more than it saves on a CPU. LoRA's own
    weights and the output layer stay fp32.
    """
    import torch

    head = model.get_output_embeddings()
    for module in model.modules():
        if isinstance(module, torch.nn.Linear) and module is not head and not module.weight.requires_grad:
            rounded = module.weight.detach().to(torch.bfloat16)
            module.forward = _Rounded(rounded, module.bias)  # type: ignore[assignment]


@dataclass(frozen=True)
class _Rounded:
    weight: "torch.Tensor"
    bias: "torch.Tensor | None"

    def __call__(self, x: "torch.Tensor") -> "torch.Tensor":
        import torch

        y = torch.nn.functional.linear(x.to(self.weight.dtype), self.weight).float()
        return y if self.bias is None else y + self.bias
