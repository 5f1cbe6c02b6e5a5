"""WHERE does it come from? One folder per source authority; each returns evidence."""
