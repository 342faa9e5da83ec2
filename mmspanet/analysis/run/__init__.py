"""What a run did, told on one page: its logs, and its predictions against the truth."""
