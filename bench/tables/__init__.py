"""The race on tables: real data from the archives of package registries, and the learners on it.

`archives` fetches, `r_files` reads what R wrote, `frames` makes a data frame and a target of it as
`sets` says. `trees` and `nets` are who races, `learners` their names. `fits` is one fit, in a
process of its own, `standing` compares what came of them, and `report` prints it.
"""
