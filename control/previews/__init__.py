"""What a policy would change for what sites told of, said before it is published."""
