"""Learn to choose: data, training, evaluation. Nothing imports this package but its own commands."""
