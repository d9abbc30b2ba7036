"""What an answer says to the image model: a prompt in the chosen model's idiom, and a negative prompt."""
