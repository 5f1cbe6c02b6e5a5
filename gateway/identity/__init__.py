"""Who is asking: relying parties and people."""
