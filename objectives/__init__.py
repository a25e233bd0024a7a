"""What is tuned: data, search space, training, prediction."""
