"""WHAT does it mean? GraphQL types, claims and rule evaluation: pure, without I/O or clock."""
