"""What tests have in common: graphs in few words, a load balancer that really runs, and waiting for a condition."""
