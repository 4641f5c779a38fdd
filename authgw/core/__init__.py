"""Decisions as pure functions of plain values and a clock, without I/O."""
