"""How a run is watched: lines or bars in a terminal, and a status file that another shell can read.

Invariant: watching never changes a result, and a run without a terminal prints plain lines that a log can hold.
A `Meter` counts one step (`meter.py`); `terminal.py` and `status.py` show meters, `interrupts.py` hears Ctrl-C.
"""
