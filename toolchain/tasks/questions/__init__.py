"""What models are asked: sound, text, and how much of it for which split."""
