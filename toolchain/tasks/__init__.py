"""What a model is for, and how far a changed model's answers are from the original's."""
