"""Ablations: named variants of one training x seeds -> runs -> one table with error bars.

    study file -> plan -> (data, judges) -> runs, each a training and an evaluation -> report

A run's folder is the truth about it; the manifest sums the folders up.
"""
