"""Scripts to audit, as users write them."""

from __future__ import annotations

LAYERS = """
import torch

class Cubed(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return {factor} * x * x * g

class Forgotten(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x

    @staticmethod
    def backward(ctx, g):
        return g

cubed = Cubed.apply
"""

TRAIN = '''
import random, sys
import numpy
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from {layers} import cubed

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.drop, self.last = nn.Linear(5, 8), nn.Dropout(0.3), nn.Linear(8, 3)

    def forward(self, x):
        return self.last(self.drop(cubed(self.first(x))))

class Noisy(TensorDataset):
    """A class of the script itself, which processes that load data look up."""
    def __getitem__(self, k):
        x, y = super().__getitem__(k)
        return x + random.random() * 0.1, y + numpy.random.rand() * 0.1

def main(out, workers=0, context=None):
    torch.manual_seed(0); random.seed(0); numpy.random.seed(0)
    net = Net()
    loader = DataLoader(Noisy(torch.randn(24, 5), torch.randn(24, 3)), 8, shuffle=True, num_workers=int(workers),
                        multiprocessing_context=context)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    done = []
    for x, y in loader:
        optimizer.zero_grad()
        nn.functional.mse_loss(net(x), y).backward()
        optimizer.step()
        done.append([p.detach().clone() for p in net.parameters()])
        torch.save([done, torch.rand(2), random.random(), numpy.random.rand()], out)

if __name__ == "__main__":
    main(*sys.argv[1:])
'''
