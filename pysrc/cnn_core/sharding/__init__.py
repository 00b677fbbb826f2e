"""Training on data in shards, independent of where they are.

`rounds` defines a round of a shard, `averaging` how results are combined into one state, `steps`
the epochs made of rounds, and `shard` the rows of samples. The loop over shards in one process,
`runner.InProcess`, defines the result; `cnn_core.dask` must give the same bits.
"""
