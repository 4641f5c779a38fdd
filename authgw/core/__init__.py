"""The decisions: plain values and a clock in, plain values out; no I/O."""
