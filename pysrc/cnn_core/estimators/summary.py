"""A network as a small table."""

from __future__ import annotations

from cnn_core.network import Network


def of_network(network: Network) -> str:
    """Return a table of the layers: their sizes, activations and numbers of parameters.

    Examples
    --------
    >>> from cnn_core.network import Dense
    >>> print(of_network(Network((Dense(4, 8, "relu", 0.1), Dense(8, 3, "softmax")),
    ...                          "cross_entropy")))
    layer  inputs  units  activation  normalization  dropout  parameters
        1       4      8        relu              -      0.1          40
        2       8      3     softmax              -        -          27
                                                       total          67
    """
    head = ("layer", "inputs", "units", "activation", "normalization", "dropout", "parameters")
    rows = [
        (
            str(number),
            f"{layer.fan_in:,}",
            f"{layer.fan_out:,}",
            layer.activation,
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
