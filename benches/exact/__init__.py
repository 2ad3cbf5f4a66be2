"""What features are in exact arithmetic: the reference that every contender is held against."""
