"""What is kept: people, grants, Answers, the log. SQLAlchemy Core; one writer; sealed under the person's key."""
