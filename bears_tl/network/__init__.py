"""Files from the network: downloads that resume, and what a server's response means."""
