"""What the sandbox shows to developers: the schema's reference and an explorer."""
