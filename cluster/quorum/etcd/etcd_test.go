package etcd_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"ebofs/cluster/quorum"
	"ebofs/cluster/quorum/etcd"
	"ebofs/cluster/quorum/quorumtest"
)

// dir is a directory whose path is short enough for a socket.
func dir(t *testing.T) string {
	d, err := os.MkdirTemp("", "q")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(d) })
	return d
}

func embed(t *testing.T, o etcd.EmbedOptions) quorum.Store {
	t.Helper()
	o.Fast, o.Unsafe = true, true
	s, err := etcd.Embed(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// dial returns another view of the engine in d.
func dial(t *testing.T, d string) quorum.Store {
	t.Helper()
	s, err := etcd.Dial(context.Background(), []string{"unix://" + filepath.Join(d, "etcd.sock")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestEmbedded runs the suite on one member, and starts it again on its state.
func TestEmbedded(t *testing.T) {
	d := dir(t)
	s := embed(t, etcd.EmbedOptions{Name: "a", Dir: d})
	// Nobody but who may enter the directory reaches it, as a peer neither.
	for _, name := range []string{"etcd.sock", "peer.sock"} {
		if st, err := os.Stat(filepath.Join(d, name)); err != nil || st.Mode().Type() != os.ModeSocket {
			t.Errorf("%s: %v, %v", name, st, err)
		}
	}
	quorumtest.Run(t, func(t *testing.T) quorum.Store { return dial(t, d) })
	ctx := context.Background()
	rev, err := s.Commit(ctx, quorum.Txn{Put: []quorum.KV{{Key: "kept", Value: []byte("x")}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = embed(t, etcd.EmbedOptions{Name: "a", Dir: d})
	if kv, err := s.Get(ctx, "kept"); err != nil || string(kv.Value) != "x" || kv.Rev != rev {
		t.Errorf("after a restart %+v, %v", kv, err)
	}

	// A value that is not what was written is an error, not a value.
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + filepath.Join(d, "etcd.sock")}, DialTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Put(ctx, "/ebofs/kept", "\x00\x00\x00\x00x"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(ctx, "kept"); !errors.Is(err, quorum.ErrCorrupt) {
		t.Errorf("a damaged value: %v", err)
	}
	if _, _, err := s.List(ctx, "ke"); !errors.Is(err, quorum.ErrCorrupt) {
		t.Errorf("a damaged value in a list: %v", err)
	}
}

// TestThree runs three members: what one writes all see, and two go on without
// the third.
func TestThree(t *testing.T) {
	members := map[string]string{}
	for _, name := range []string{"a", "b", "c"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		members[name] = l.Addr().String()
		_ = l.Close()
	}
	type started struct {
		name string
		s    quorum.Store
		err  error
	}
	up := make(chan started)
	dirs := map[string]string{}
	for name, peer := range members {
		dirs[name] = dir(t)
		go func() {
			s, err := etcd.Embed(context.Background(), etcd.EmbedOptions{Name: name, Dir: dirs[name], Peer: peer, Members: members, Fast: true, Unsafe: true})
			up <- started{name, s, err}
		}()
	}
	stores := map[string]quorum.Store{}
	for range members {
		r := <-up
		if r.err != nil {
			t.Fatal(r.err)
		}
		stores[r.name] = r.s
		t.Cleanup(func() { _ = r.s.Close() })
	}
	ctx := context.Background()
	put := func(by, value string) {
		t.Helper()
		if _, err := stores[by].Commit(ctx, quorum.Txn{Put: []quorum.KV{{Key: "k", Value: []byte(value)}}}); err != nil {
			t.Fatalf("%s: %v", by, err)
		}
	}
	see := func(by, want string) {
		t.Helper()
		if kv, err := stores[by].Get(ctx, "k"); err != nil || string(kv.Value) != want {
			t.Fatalf("%s sees %q, %v; want %q", by, kv.Value, err, want)
		}
	}
	put("a", "1")
	see("b", "1")
	see("c", "1")
	if m, err := stores["b"].Members(ctx); err != nil || len(m) != 3 {
		t.Errorf("members %+v, %v", m, err)
	}
	if err := stores["a"].Close(); err != nil {
		t.Fatal(err)
	}
	put("b", "2")
	see("c", "2")
	if err := stores["c"].Close(); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	if _, err := stores["b"].Commit(short, quorum.Txn{Put: []quorum.KV{{Key: "k", Value: []byte("3")}}}); err == nil {
		t.Error("one of three has committed")
	}
}

// TestMistakes: what an operator may get wrong is said in one line.
func TestMistakes(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := etcd.Dial(ctx, []string{"127.0.0.1:1"}); err == nil {
		t.Error("an engine nobody runs")
	}
	long := filepath.Join(dir(t), "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789")
	if _, err := etcd.Embed(context.Background(), etcd.EmbedOptions{Name: "a", Dir: long}); err == nil {
		t.Error("a path too long for a socket was taken")
	}
}
