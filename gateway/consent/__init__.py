"""What a person agreed to, and whether a plan stays inside it. Pure: no I/O, no clock."""
