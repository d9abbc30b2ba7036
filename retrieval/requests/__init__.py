"""What a request asks for, and what is refused."""
