"""The driver that Octavia's worker loads (`amphora_driver = hydria`): what Octavia knows of a load balancer goes to Hydria's agents as one graph.

Rules of this package:

* It alone imports `octavia` and what comes with it (the extra `hydria[octavia]`); nobody imports it but Octavia, by its entry point.
* What makes a graph of Octavia's objects (`graphs`, `targets`) is pure and knows them by their attributes only: no Octavia is needed for it.
* What Octavia's API is to be told before anything is made (`provider = hydria`) is in `provider`, and what it refuses is what the compiler would: `refusals`,
  which is pure. All else is Octavia's own provider's.
* Octavia's own settings are what counts: addresses, certificates, patience. What must be Hydria's is in the section `hydria` (`settings`).
* Compute and network of a lab (`compute_driver = hydria_lab`, `network_driver = hydria_lab`): `cloud` knows and decides (`cloud_things`, `store`,
  `addresses`, `allocating`, `layout`, `rules`), `cabling` (with `filtering`) and `machines` make it so by `hydria.lab`, and `compute`, `network` and `vips` are what Octavia calls. Only these
  three, `converting` and `asking` know Octavia.
* An amphora that does not speak 2.0 is driven as Octavia drives it. Nothing that both contracts have goes by 2.0 but load balancers.
"""
