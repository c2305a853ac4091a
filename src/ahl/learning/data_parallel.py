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

from ahl._common.processes import Processes


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
        mean, variance, count = self._statistics(input.detach())
        if running_mean is not None and running_var is not None:
            running_mean.lerp_(mean, momentum)
            running_var.lerp_(variance * (count / max(1.0, count - 1)), momentum)
        weight = torch.ones_like(mean) if weight is None else weight
        bias = torch.zeros_like(mean) if bias is None else bias
        normalised: Tensor = _Normalise.apply(
            input, weight, bias, mean, variance, count, eps, self._processes
        )
        return normalised

    def _statistics(self, values: Tensor) -> tuple[Tensor, Tensor, float]:
        """Mean and variance (C,) of (n, C, ...) in all processes, and the number of values."""
        processes = self._processes
        mean, variance = torch.ops.aten.batch_norm_update_stats(values, None, None, 0.0)
        count = torch.full_like(mean, values.numel() // len(mean))
        slots = mean.new_zeros(processes.count, 3, len(mean))
        slots[processes.rank] = torch.stack([mean, variance, count])
        means, variances, counts = processes.sum(slots).unbind(dim=1)  # (processes, C) each
        total = counts.sum(dim=0)
        shares = counts / total
        whole = (shares * means).sum(dim=0)
        # Chan, Golub and LeVeque (1983): variances of parts, and of the parts' means.
        spread = (shares * (variances + (means - whole) ** 2)).sum(dim=0)
        return whole, spread, float(total[0])


class _Normalise(torch.autograd.Function):
    """Batch norm by the whole batch's mean and variance, in torch's own kernels."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        values: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        count: float,
        epsilon: float,
        processes: Processes,
    ) -> Tensor:
        ctx.save_for_backward(values, weight, mean, variance)
        ctx.count, ctx.epsilon, ctx.processes = count, epsilon, processes
        return torch.batch_norm(values, weight, bias, mean, variance, False, 0.0, epsilon, False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        values, weight, mean, variance = ctx.saved_tensors
        own, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, values, weight, mean, variance, None, None, False, ctx.epsilon, [True] * 3
        )
        # So far as if mean and variance were fixed; every value of every part moves them.
        sums = ctx.processes.sum(torch.stack([of_weight, of_bias])) / ctx.count
        inverse = torch.rsqrt(variance + ctx.epsilon)
        slope = weight * inverse**2 * sums[0]
        offset = weight * inverse * sums[1] - slope * mean
        shape = (1, -1, *(1 for _ in values.shape[2:]))
        own = own.addcmul(values, slope.view(shape), value=-1).sub_(offset.view(shape))
        return own, of_weight, of_bias, None, None, None, None, None
