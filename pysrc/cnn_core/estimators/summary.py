"""A network as a small table."""

from __future__ import annotations

from typing import Any

from cnn_core.network import Network


def of_network(network: Network) -> str:
    """Return a table of the layers: their sizes, activations and numbers of parameters.

    If not all layers are dense, the table shows the kind and output shape of each.

    Examples
    --------
    >>> from cnn_core import Conv2D, GlobalAveragePool
    >>> from cnn_core.network import Dense
    >>> print(of_network(Network((Dense(4, 8, "relu", 0.1), Dense(8, 3, "softmax")),
    ...                          "cross_entropy")))
    layer  inputs  units  activation  normalization  dropout  parameters
        1       4      8        relu              -      0.1          40
        2       8      3     softmax              -        -          27
                                                       total          67
    >>> print(of_network(Network((Conv2D((8, 8, 1), 4), GlobalAveragePool((8, 8, 4))))))
    layer               kind     output  activation  normalization  dropout  parameters
        1             Conv2D  8 x 8 x 4        relu              -        -          40
        2  GlobalAveragePool  1 x 1 x 4           -              -        -           0
                                                                      total          40
    """
    by_kind = any(type(layer).__name__ != "Dense" for layer in network.layers)
    sizes = ("kind", "output") if by_kind else ("inputs", "units")
    head = ("layer", *sizes, "activation", "normalization", "dropout", "parameters")
    rows = [
        (
            str(number),
            *(_kind_and_output(layer) if by_kind else (f"{layer.fan_in:,}", f"{layer.fan_out:,}")),
            "-" if by_kind and layer.activation == "identity" else layer.activation,
            layer.normalization or "-",
            f"{layer.dropout:g}" if layer.dropout else "-",
            f"{layer.n_parameters():,}",
        )
        for number, layer in enumerate(network.layers, start=1)
    ]
    total = ("", "", "", "", "", "total", f"{network.n_parameters():,}")
    widths = [max(map(len, column)) for column in zip(head, *rows, total, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in (head, *rows, total)
    ]
    return "\n".join(line.rstrip() for line in lines)


def _kind_and_output(layer: Any) -> tuple[str, str]:
    shape = getattr(layer, "output_shape", None)
    output = f"{layer.fan_out:,}" if shape is None else " x ".join(map(str, shape))
    return type(layer).__name__, output
