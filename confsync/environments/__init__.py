"""What one environment is made of, how it differs from others, and how much of it comes down to a laptop."""
