package etcd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"ebofs/cluster/quorum"
)

// EmbedOptions say how a member of the engine is run inside this process.
type EmbedOptions struct {
	// Name of the member: the monitor's.
	Name string
	// Dir is where its state is kept; made if it does not exist.
	Dir string
	// Peer is where the members reach this one, as "127.0.0.1:2380"; with a single
	// member it may be empty: then nobody can join.
	Peer string
	// Members are all members by name, with their Peer; nil: this one alone.
	Members map[string]string
	// Join is set for a member that was added to a running cluster.
	Join bool
	// Fast makes elections ten times quicker: for members on one machine.
	Fast bool
	// Unsafe leaves out fsync, for tests.
	Unsafe bool
}

const (
	quotaBytes   = 8 << 30
	startTimeout = 60 * time.Second
)

// Embed starts a member of the engine and returns its Store. The client side
// listens on a socket in Dir only.
func Embed(ctx context.Context, o EmbedOptions) (quorum.Store, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("quorum: %w", err)
	}
	c := embed.NewConfig()
	c.Name, c.Dir = o.Name, filepath.Join(o.Dir, "etcd")
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	c.TickMs, c.ElectionMs = 100, 1000
	if o.Fast {
		c.TickMs, c.ElectionMs = 10, 100
	}
	c.QuotaBackendBytes = quotaBytes
	c.MaxRequestBytes = quorum.MaxTxnBytes + 1<<20
	c.MaxTxnOps = 2*quorum.MaxTxnOps + 1
	c.AutoCompactionMode, c.AutoCompactionRetention = "revision", "10000"
	c.UnsafeNoFsync = o.Unsafe
	c.ListenMetricsUrls = nil

	// The engine wants the address of a unix socket to look like one of a host.
	sock := filepath.Join(o.Dir, "etcd.sock")
	if len(sock) > 100 {
		return nil, fmt.Errorf("quorum: path %s is too long for a socket: use a shorter directory", sock)
	}
	socket, err := url.Parse("unix://" + sock)
	if err != nil {
		return nil, fmt.Errorf("quorum: %w", err)
	}
	if err := os.Remove(sock); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("quorum: %w", err)
	}
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{*socket}, []url.URL{*socket}
	peer := url.URL{Scheme: "http", Host: o.Peer}
	listen := peer
	if o.Peer == "" { // alone: its peer address is a socket too
		p := filepath.Join(o.Dir, "peer.sock")
		if err := os.Remove(p); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("quorum: %w", err)
		}
		u, err := url.Parse("unix://" + p)
		if err != nil {
			return nil, fmt.Errorf("quorum: %w", err)
		}
		// Of an address to listen for peers at, the engine takes the host alone:
		// without one it would make an abstract socket, open to all users.
		peer, listen = *u, url.URL{Scheme: "unix", Host: p}
	}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{listen}, []url.URL{peer}
	c.InitialCluster = o.Name + "=" + peer.String()
	if len(o.Members) > 0 {
		c.InitialCluster = ""
		for name, at := range o.Members {
			if c.InitialCluster != "" {
				c.InitialCluster += ","
			}
			c.InitialCluster += name + "=http://" + at
		}
	}
	if o.Join {
		c.ClusterState = embed.ClusterStateFlagExisting
	}
	server, err := embed.StartEtcd(c)
	if err != nil {
		return nil, fmt.Errorf("quorum: member %s: %w", o.Name, err)
	}
	stop := func() error { server.Close(); return nil }
	select {
	case <-server.Server.ReadyNotify():
	case err := <-server.Err():
		return nil, errors.Join(fmt.Errorf("quorum: member %s: %w", o.Name, err), stop())
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), stop())
	case <-time.After(startTimeout):
		return nil, errors.Join(fmt.Errorf("quorum: member %s found no majority in %v", o.Name, startTimeout), stop())
	}
	s, err := Dial(ctx, []string{socket.String()})
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	s.(*client).stop = stop
	return s, nil
}
