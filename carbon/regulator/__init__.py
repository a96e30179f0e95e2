"""The regulator's ledger: what the accounts of a region say together. Pure functions over figures of subjects.

Emissions are integers of g CO2e, money 0.01 CNY, outputs exact numbers of a stated unit; ratios are exact fractions.
"""
