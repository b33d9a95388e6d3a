"""What people look at: the list of every metric, its reference page, and the dashboards, all written from the code."""
