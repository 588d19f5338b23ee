"""Sweeps: notebooks run with every combination of some parameters, on the machines that Ray has.

:mod:`plan` says what there is to run and refuses what cannot; :mod:`job` runs one notebook within its limits, by
:mod:`child`; :mod:`page` shows what came of all; :mod:`command` holds them together.
"""
