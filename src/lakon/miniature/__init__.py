"""The embedded study's own world: word problems, two procedural teachers, a tiny student and its
pre-training.

Everything here is generated, so the whole pipeline runs for real without a network, a GPU or a key. Read
next: `problems.py`.
"""
