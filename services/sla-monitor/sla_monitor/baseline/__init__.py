"""Before a transition: what a company's own history says about its tickets, and what of them a partner could take."""
