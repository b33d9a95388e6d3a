"""What stands between the classifier and the world: files and topics."""
