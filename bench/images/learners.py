"""`ImageClassifier` and PyTorch by the same recipe: network, optimizer, rates, loss and epochs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

RATE, DECAY, SMOOTHING, DROPOUT, BATCH = 3e-3, 0.01, 0.05, 0.2, 64


@dataclass(frozen=True)
class SetJob:
    """A training on a set of images.

    Attributes
    ----------
    learner : {"cnn_core", "PyTorch"}
    data : str
        A file that holds the arrays of an `images.sets.ImageSet`.
    seed, epochs, threads : int
    """

    learner: str
    data: str
    seed: int
    epochs: int
    threads: int

    def run(self) -> dict[str, Any]:
        """Train, and return the accuracy on the test part and the seconds of the training."""
        with np.load(self.data) as arrays:
            x, y, x_test, y_test = (arrays[name] for name in arrays.files)
        learn = _by_ours if self.learner == "cnn_core" else _by_pytorch
        predicted, seconds = learn(self, x, y, x_test)
        return {"accuracy": float((predicted == y_test).mean()), "seconds": seconds}


def _by_ours(job: SetJob, x: Any, y: Any, x_test: Any) -> tuple[Any, float]:
    from cnn_core import ImageClassifier

    def classifier(epochs: int) -> ImageClassifier:
        return ImageClassifier(
            dropout=DROPOUT,
            label_smoothing=SMOOTHING,
            weight_decay=DECAY,
            learning_rate_init=RATE,
            batch_size=BATCH,
            max_iter=epochs,
            random_state=job.seed,
            n_threads=job.threads,
        )

    # What is loaded at first use is no part of the training; PyTorch gets the same.
    classifier(1).fit(x[:BATCH], y[:BATCH])
    start = time.perf_counter()
    fitted = classifier(job.epochs).fit(x, y)
    seconds = time.perf_counter() - start
    return fitted.predict(x_test), seconds


def _by_pytorch(job: SetJob, x: Any, y: Any, x_test: Any) -> tuple[Any, float]:
    import torch

    torch.set_num_threads(job.threads)
    torch.manual_seed(job.seed)
    scale = 1 / 255 if x.dtype == np.uint8 else 1.0

    def images(values: Any) -> torch.Tensor:
        rows = torch.from_numpy(values.astype(np.float32) * np.float32(scale))
        return rows.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)

    def trained(x: torch.Tensor, labels: torch.Tensor, epochs: int) -> torch.nn.Module:
        net = _network(tuple(x.shape[1:]), int(y.max()) + 1)
        optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=DECAY, fused=True)
        steps = epochs * -(-len(x) // BATCH)
        rates = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, RATE, total_steps=steps, cycle_momentum=False
        )
        loss_of = torch.nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
        for _ in range(epochs):
            for rows in torch.randperm(len(x)).split(BATCH):
                optimizer.zero_grad()
                loss_of(net(x[rows]), labels[rows]).backward()
                optimizer.step()
                rates.step()
        return net

    train, labels, test = images(x), torch.from_numpy(y), images(x_test)
    trained(train[:BATCH], labels[:BATCH], 2)
    torch.manual_seed(job.seed)
    start = time.perf_counter()
    net = trained(train, labels, job.epochs)
    seconds = time.perf_counter() - start
    net.eval()
    with torch.inference_mode():
        return net(test).argmax(dim=1).numpy(), seconds


def _network(shape: tuple[int, ...], classes: int) -> Any:
    """Return the layers of the architecture "small" as PyTorch has them."""
    from torch import nn

    channels, height, width = shape
    modules: list[nn.Module] = []
    for wider in (16, 32, 64):
        modules.append(nn.Conv2d(channels, wider, 3, padding=1, bias=False))
        if min(height, width) >= 2:
            modules.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        modules += [nn.BatchNorm2d(wider), nn.ReLU(inplace=True)]
        channels = wider
    modules += [nn.Flatten(), nn.Linear(channels * height * width, 128, bias=False)]
    modules += [nn.BatchNorm1d(128), nn.ReLU(inplace=True), nn.Dropout(DROPOUT)]
    modules.append(nn.Linear(128, classes))
    for module in modules:
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    import torch

    return nn.Sequential(*modules).to(memory_format=torch.channels_last)
