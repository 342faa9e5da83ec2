"""Looking at a model: what it costs and how it answers to frequencies."""
