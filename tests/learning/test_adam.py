"""Adam against torch's own."""

import pytest
import torch

from ahl.learning.adam import AdamState, adam_start, adam_step


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_adam_is_torchs_over_many_steps(dtype, tolerance):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    parameters = {"matrix": draw(3, 4), "scalar": draw(), "never used": draw(5)}
    theirs = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    optimiser = torch.optim.Adam(theirs.values(), lr=0.02)
    state = adam_start(parameters)
    for step in range(300):
        gradients = {name: 10.0 ** (step % 5 - 3) * draw(*v.shape) for name, v in theirs.items()}
        gradients["never used"] = torch.zeros(5, dtype=dtype)
        for name, leaf in theirs.items():
            leaf.grad = gradients[name].clone()
        optimiser.step()
        parameters, state = adam_step(parameters, gradients, state, rate=0.02)
        for name, leaf in theirs.items():
            torch.testing.assert_close(
                parameters[name], leaf.detach(), rtol=tolerance, atol=tolerance
            )
    assert float(state.step) == 300


def test_adam_does_not_modify_what_it_is_given():
    parameters = {"w": torch.ones(3)}
    gradients = {"w": torch.tensor([1.0, -2.0, 0.0])}
    state = AdamState(torch.tensor(2.0), {"w": torch.full((3,), 0.1)}, {"w": torch.full((3,), 0.2)})
    before = [t.clone() for t in (parameters["w"], gradients["w"], state.step, state.first["w"])]
    adam_step(parameters, gradients, state, rate=0.1)
    after = [parameters["w"], gradients["w"], state.step, state.first["w"]]
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))
    assert torch.equal(state.second["w"], torch.full((3,), 0.2))


def test_adam_can_be_differentiated_where_the_gradient_is_zero():
    """The plain square root has an infinite slope there, and 0 * infinity is not a number."""
    gradient = torch.tensor([0.0, 1.0], dtype=torch.float64, requires_grad=True)
    parameters = {"w": torch.ones(2, dtype=torch.float64)}
    updated, _ = adam_step(parameters, {"w": gradient}, adam_start(parameters), rate=0.1)
    updated["w"].sum().backward()
    assert gradient.grad.isfinite().all()
