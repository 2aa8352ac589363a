"""Recipes compared at a target: one joint fit, what differs, by how much compute, and where the curves cross."""
