"""Grids of runs: planned into jobs.jsonl, trained in packs of equal shape, collected into tables.

A job is a configuration, and its id the configuration's hash: planning again adds nothing, running again trains
nothing twice, and a run that was killed continues from its last checkpoint. Only the training itself loads torch.
"""
