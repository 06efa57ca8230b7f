"""How the sample's photos are painted: the bear, what stands around it, and what both are painted with."""
