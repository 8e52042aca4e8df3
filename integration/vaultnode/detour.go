package vaultnode

import (
	"cmp"
	"crypto/tls"
	"net"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/vault/cluster"
)

// A detoured is the network between the nodes of a cluster, where other addresses are
// connected to than the nodes name.
type detoured struct {
	*cluster.TCPLayer
	via map[string]string
}

// detour listens at an address for other nodes, and reaches them by via.
func detour(listen string, via map[string]string, log hclog.Logger) (cluster.NetworkLayer, error) {
	address, err := net.ResolveTCPAddr("tcp", listen)
	if err != nil {
		return nil, err
	}
	return detoured{cluster.NewTCPLayer([]*net.TCPAddr{address}, log), via}, nil
}

// Dial connects to another node.
func (d detoured) Dial(address string, timeout time.Duration, config *tls.Config) (*tls.Conn, error) {
	return d.TCPLayer.Dial(cmp.Or(d.via[address], address), timeout, config)
}
