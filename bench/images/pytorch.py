"""PyTorch on the CPU, channels last, with the fused Adam; batches are slices of one tensor."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from cnn_core.layers import Conv2D, Dense, MaxPool2D
from images.work import LEARNING_RATE, Floats, Job, first_parameters, network


class _Flat(nn.Module):
    """Rows in the order of channels last: a view of what is there."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


class PyTorch:
    """A ``torch.nn.Sequential``."""

    def __init__(self, job: Job, x: Floats, labels: Any) -> None:
        torch.set_num_threads(job.threads)
        self.title = f"PyTorch {torch.__version__}, channels last"
        self._job = job
        self._x = torch.from_numpy(x).permute(0, 3, 1, 2)
        self._x = self._x.contiguous(memory_format=torch.channels_last)
        self._labels = torch.from_numpy(labels)
        self._net = _net(job).to(memory_format=torch.channels_last)
        self._optimizer = torch.optim.Adam(self._net.parameters(), LEARNING_RATE, fused=True)

    def train_epoch(self) -> None:
        """Train on every image once."""
        self._net.train()
        size = self._job.batch_size
        for x, labels in zip(self._x.split(size), self._labels.split(size), strict=True):
            self._optimizer.zero_grad()
            functional.cross_entropy(self._net(x), labels).backward()
            self._optimizer.step()

    def predict(self) -> Any:
        """Predict all images."""
        self._net.eval()
        with torch.inference_mode():
            return functional.softmax(self._net(self._x), dim=1)

    def outputs(self) -> Floats:
        """Return the outputs."""
        found: Floats = self.predict().numpy()
        return found


def _net(job: Job) -> nn.Sequential:
    described = network(job.order)
    modules: list[nn.Module] = []
    is_flat = False
    for layer, arrays in zip(
        described.layers, described.unflatten(first_parameters(described)), strict=True
    ):
        if isinstance(layer, Dense):
            modules += [] if is_flat else [_Flat()]
            is_flat = True
            linear = nn.Linear(layer.fan_in, layer.fan_out)
            linear.weight.data.copy_(torch.from_numpy(arrays.weights.T))
            linear.bias.data.zero_()
            modules.append(linear)
        elif isinstance(layer, Conv2D):
            channels = layer.input_shape[2]
            is_last = layer.normalization is None
            convolution = nn.Conv2d(channels, layer.channels, 3, padding=1, bias=is_last)
            kernel = arrays.weights.reshape(3, 3, channels, layer.channels)
            convolution.weight.data.copy_(torch.from_numpy(kernel.transpose(3, 2, 0, 1)))
            if is_last:
                convolution.bias.data.zero_()
            modules.append(convolution)
        elif isinstance(layer, MaxPool2D):
            modules.append(nn.MaxPool2d(2))
        if layer.normalization is not None:
            modules.append(nn.BatchNorm2d(layer.units))
        if layer.activation == "relu":
            modules.append(nn.ReLU(inplace=True))
    return nn.Sequential(*modules)
