"""The pages of people and of relying parties' staff: plain HTML that works without a script."""
