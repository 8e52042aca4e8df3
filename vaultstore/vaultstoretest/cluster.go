package vaultstoretest

// A Cluster is several nodes that share one storage. One is active, the others are
// standbys that forward to it, unless told otherwise.
//
//	cluster := vaultstoretest.NewCluster(3)
//	defer cluster.Close()
//	client, err := cluster.Nodes[1].Client()
type Cluster struct {
	// Nodes are the servers, each at its own URL. The first is active at the
	// beginning. They have all the methods of a server: calls and faults are each
	// node's own, values, tokens and policies are shared.
	Nodes []*Server
}

// NewCluster starts n nodes. Options are for all of them.
func NewCluster(n int, opts ...Option) *Cluster {
	cl := &Cluster{}
	var shared *core
	for range n {
		s := newServer(shared, opts)
		shared = s.core
		if s.core.active == s {
			s.state = Active // also with WithStaleness
		}
		s.listen()
		cl.Nodes = append(cl.Nodes, s)
	}
	return cl
}

// Active returns the active node, nil if there is none.
func (cl *Cluster) Active() *Server {
	c := cl.Nodes[0].core
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.active
}

// StepDown makes the active node a standby and leaves the cluster without one, until
// [Cluster.Elect]. What was written stays.
func (cl *Cluster) StepDown() {
	c := cl.Nodes[0].core
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stepDown()
}

func (c *core) stepDown() {
	if c.active != nil && len(c.nodes) > 1 {
		c.active.state = c.active.resting
		c.active = nil
	}
}

// Elect makes node i the active one, and the one that was a standby.
func (cl *Cluster) Elect(i int) { cl.Nodes[i].SetState(Active) }

// Close closes all nodes.
func (cl *Cluster) Close() {
	for _, s := range cl.Nodes {
		s.Close()
	}
}
