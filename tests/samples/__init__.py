"""Samples of every file of ours, one folder for each format there has been.

They are read by a test for ever: whoever changes a format keeps the old samples and adds new ones
with `python -m tests.samples`, which takes them from a real run.
"""
