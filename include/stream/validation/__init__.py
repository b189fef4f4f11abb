"""Validation: text fields become typed values and flags for each broken rule of the contract.

``validate`` applies the rules, and ``task_results`` packs the rows of one Spark task for the driver. May import
``reading``.
"""
