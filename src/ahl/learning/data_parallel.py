"""One training step in several processes, as if it were in one.

Every process takes a part of the batch through the backbone. What belongs to the whole batch is
computed from the whole batch: its feature maps are gathered before the heads and the loss (whose
weighted means are no means of parts' means), and batch norm takes its mean and variance over all
parts. Only the order of floating-point sums differs from one process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.overrides import TorchFunctionMode

from ahl.processes import Processes


def whole_batch(own: Tensor, processes: Processes, count: int) -> Tensor:
    """All parts of a batch, of which every process goes on to compute the same loss.

    Args:
        own: this process's part, (n, ...), of `Processes.parts`.
        processes: that hold the parts.
        count: of the whole batch.

    Returns:
        (count, ...). Its gradient is this process's part of the loss's, times the number of
        processes, by which DistributedDataParallel divides what it sums.
    """
    if processes.count == 1:
        return own
    whole: Tensor = _WholeBatch.apply(own, processes, count)
    return whole


class _WholeBatch(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, processes: Processes, count: int) -> Tensor:  # noqa: ANN401
        ctx.part, ctx.times = processes.parts(count)[processes.rank], processes.count
        whole = own.new_zeros(count, *own.shape[1:])
        whole[ctx.part] = own
        return processes.sum(whole)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        return gradient[ctx.part] * ctx.times, None, None


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, processes: Processes) -> Tensor:  # noqa: ANN401
        ctx.processes = processes
        return processes.sum(own.clone())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        # Every process's outputs depend on the sum, and so on what this one gave to it.
        return ctx.processes.sum(gradient.contiguous().clone()), None


def data_parallel(module: nn.Module, processes: Processes) -> nn.Module:
    """The module, its gradients averaged over the processes as they come."""
    if processes.count == 1:
        return module
    # The same parameters take part in every step, perhaps not all: a static graph allows for it.
    return DistributedDataParallel(module, process_group=processes.gradients, static_graph=True)


def whole_batch_norm(processes: Processes) -> AbstractContextManager[object]:
    """Within it, batch norm takes its mean and variance over all parts of a batch."""
    return nullcontext() if processes.count == 1 else _WholeBatchNorm(processes)


class _WholeBatchNorm(TorchFunctionMode):
    """`torch.nn.functional.batch_norm`, in training, of all parts of a batch.

    torch's own SyncBatchNorm does not run on CPUs, and replaces torch's layers but not those that
    call the function themselves, as timm's do.

    Args:
        processes: that hold the parts; each part has at least one image.
    """

    def __init__(self, processes: Processes) -> None:
        super().__init__()
        self._processes = processes

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Replace the one function; leave all others as they are."""
        if func is nn.functional.batch_norm:
            return self._batch_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _batch_norm(
        self,
        input: Tensor,  # noqa: A002 - the names of the function that it stands for
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if not training:
            return nn.functional.batch_norm(
                input, running_mean, running_var, weight, bias, training, momentum, eps
            )
        mean, variance, count = self._statistics(input)
        with torch.no_grad():
            if running_mean is not None and running_var is not None:
                running_mean.lerp_(mean, momentum)
                running_var.lerp_(variance * (count / (count - 1).clamp_min(1)), momentum)
        shape = (1, -1, *(1 for _ in input.shape[2:]))
        normalised = (input - mean.view(shape)) * torch.rsqrt(variance + eps).view(shape)
        if weight is not None:
            normalised = normalised * weight.view(shape)
        return normalised if bias is None else normalised + bias.view(shape)

    def _statistics(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and variance (C,) of (n, C, ...) in all processes, and the number of values ()."""
        processes = self._processes
        axes = [axis for axis in range(values.ndim) if axis != 1]
        variance, mean = torch.var_mean(values, dim=axes, correction=0)
        count = torch.full_like(mean, values.numel() // len(mean))
        own = torch.stack([mean, variance, count])
        nothing = torch.zeros_like(own)
        slots = [own if rank == processes.rank else nothing for rank in range(processes.count)]
        everywhere = _Sum.apply(torch.stack(slots), processes)
        means, variances, counts = everywhere.unbind(dim=1)  # (processes, C) each
        shares = (counts / counts.sum(dim=0)).detach()
        whole = (shares * means).sum(dim=0)
        # Chan, Golub and LeVeque (1983): variances of parts, and of the parts' means.
        spread = (shares * (variances + (means - whole) ** 2)).sum(dim=0)
        return whole, spread, counts.sum(dim=0)[0].detach()
