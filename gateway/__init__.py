"""MAY it move? Identity, plan, consent, gathering, the record, and the ways in."""
