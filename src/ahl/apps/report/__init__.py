"""What an evaluation leaves for people to look at."""
