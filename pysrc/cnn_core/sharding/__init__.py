"""Training on data in shards: what is computed, wherever the shards are.

`rounds` defines a round of a shard, `averaging` how the results of shards become one state,
`steps` the epochs made of rounds, `shard` the rows of samples. The loop over shards in one process,
`runner.InProcess`, defines the result: `cnn_core.dask` has to give the same bits.
"""
