"""The schema `facts` and how it came to be."""
