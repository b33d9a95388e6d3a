"""Facts for reviews and rolling figures: what the lifecycle topics say, as rows of PostgreSQL; windows are queries."""
