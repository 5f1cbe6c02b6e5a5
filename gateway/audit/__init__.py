"""What moved, and the proof that it was recorded. Pure: no I/O, no clock."""
