import copy

import pytest
import torch
from torch import nn

from divbench.generate.observe import Observer, _NormWithStatistics, _statistics
from divbench.networks import resnet18

CPU = torch.device("cpu")


def a_network(classes=5):
    """A small ResNet-18 whose BatchNorm layers have seen something."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = resnet18(classes, small_stem=True)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 1.5)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, 0, 0.2)
    return network.eval().requires_grad_(False)


def images(count=6, size=16, seed=0):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def hooked(network, batch):
    """Logits, features and BatchNorm inputs as the released code takes them: in hooks."""
    seen, features = [], []

    def hook(module, inputs, output):
        x = inputs[0]
        flat = x.permute(1, 0, 2, 3).reshape(x.shape[1], -1)
        seen.append((x.mean((0, 2, 3)), flat.var(1, unbiased=False), module.running_mean, module.running_var))

    handles = [m.register_forward_hook(hook) for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    handles.append(network.fc.register_forward_pre_hook(lambda module, inputs: features.append(inputs[0])))
    logits = network(batch)
    for handle in handles:
        handle.remove()
    return logits, features[0], seen


def loss_of(logits, features, norms):
    """Something that every output has a part in."""
    return logits.square().sum() + features.sum() + sum(n[0].sin().sum() + n[1].log().sum() for n in norms)


def test_it_sees_what_hooks_see_and_so_do_gradients():
    network, batch = a_network(), images()
    one, two = batch.clone().requires_grad_(), batch.clone().requires_grad_()
    expected = hooked(network, one)
    found = Observer(copy.deepcopy(network), "fc", "float32", CPU, norms=True)(two)
    for mine, theirs in zip(found[:2], expected[:2], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    assert len(found[2]) == len(expected[2]) == 20
    for mine, theirs in zip(found[2], expected[2], strict=True):
        torch.testing.assert_close(tuple(mine), tuple(theirs), rtol=1e-4, atol=1e-5)
    loss_of(*expected).backward()
    loss_of(*found).backward()
    torch.testing.assert_close(two.grad, one.grad, rtol=1e-3, atol=1e-4)


def test_bfloat16_is_close_and_keeps_float32_where_it_decides():
    network, batch = a_network(), images()
    logits, features, norms = Observer(copy.deepcopy(network), "fc", "bfloat16", CPU, norms=True)(batch)
    expected = hooked(network, batch)
    assert logits.dtype == features.dtype == norms[0].mean.dtype == torch.float32
    assert (logits - expected[0]).norm() < 0.02 * expected[0].norm()
    assert not torch.equal(features, features.bfloat16().float()), "features are no bfloat16 numbers"
    for mine, theirs in zip(norms, expected[2], strict=True):
        assert (mine.mean - theirs[0]).norm() < 0.02 * theirs[0].norm()


def test_without_norms_the_network_keeps_its_layers():
    network, batch = a_network(), images()
    logits, _, norms = Observer(copy.deepcopy(network), "fc", "float32", CPU, norms=False)(batch)
    assert norms == []
    torch.testing.assert_close(logits, network(batch), rtol=1e-4, atol=1e-5)


def test_normalisation_with_statistics_has_its_gradient():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(3, 2, 3, 2, generator=g, dtype=torch.float64, requires_grad=True)
    weight, bias, mean, variance = (torch.rand(2, generator=g, dtype=torch.float64) + 0.5 for _ in range(4))
    assert torch.autograd.gradcheck(lambda x: _NormWithStatistics.apply(x, weight, bias, mean, variance, 1e-5), (x,))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_statistics_are_exact_where_the_mean_is_large(kind):
    x = (torch.randn(200, 16, 24, 24, generator=torch.Generator().manual_seed(0)) * 0.3 + 20).to(kind)
    x = x.contiguous(memory_format=torch.channels_last)
    mean, variance = _statistics(x, torch.full((16,), 20.1))
    torch.testing.assert_close(mean.double(), x.double().mean((0, 2, 3)), rtol=1e-6, atol=0)
    torch.testing.assert_close(variance.double(), x.double().var((0, 2, 3), unbiased=False), rtol=1e-5, atol=0)


@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=pytest.mark.slow)])
def test_one_thread_and_two_give_the_same_bits(precision):
    before = torch.get_num_threads()
    grads = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            batch = images(40).requires_grad_()
            loss_of(*Observer(a_network(), "fc", precision, CPU, norms=True)(batch)).backward()
            grads.append(batch.grad)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(grads[0], grads[1])
