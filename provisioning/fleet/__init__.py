"""A fleet that is not there: any number of simulated edges that speak the real wire, to try a control plane with."""
