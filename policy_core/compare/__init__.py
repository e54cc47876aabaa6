"""What one document changes from another, proved over every case there can be."""
