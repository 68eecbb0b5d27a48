package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"

	"ebofs/cluster/quorum"
)

const (
	// leaseSeconds is how long a leader is missed before another may follow: the
	// least the engine grants, above its own election time-out.
	leaseSeconds = 5
	// callTimeout bounds a call whose context does not: longer than an election
	// takes.
	callTimeout = 15 * time.Second

	prefix = "/ebofs/" // of all our keys
)

// client is a Store on an etcd cluster.
type client struct {
	c    *clientv3.Client
	stop func() error // ends the embedded engine, if there is one
	once sync.Once
	err  error
}

// Dial returns a Store on an etcd cluster of its own.
func Dial(ctx context.Context, endpoints []string) (quorum.Store, error) {
	c, err := clientv3.New(clientv3.Config{
		Endpoints: endpoints, DialTimeout: callTimeout, Logger: zap.NewNop(),
		MaxCallSendMsgSize: quorum.MaxTxnBytes + 1<<20, MaxCallRecvMsgSize: 1 << 30,
		DialKeepAliveTime: 2 * time.Second, DialKeepAliveTimeout: 3 * time.Second,
	})
	if err != nil {
		return nil, fmt.Errorf("quorum: %w", err)
	}
	s := &client{c: c}
	if _, err := s.Get(ctx, "\x00probe"); err != nil {
		return nil, errors.Join(fmt.Errorf("quorum: no answer from %v: %w", endpoints, err), c.Close())
	}
	return s, nil
}

// limit gives a call a time-out if its context has none.
func limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, callTimeout)
}

func (s *client) Get(ctx context.Context, key string) (quorum.KV, error) {
	ctx, cancel := limit(ctx)
	defer cancel()
	r, err := s.c.Get(ctx, prefix+key)
	if err != nil {
		return quorum.KV{}, wrap(err)
	}
	if len(r.Kvs) == 0 {
		return quorum.KV{Key: key}, nil
	}
	v, err := quorum.Unseal(key, r.Kvs[0].Value)
	return quorum.KV{Key: key, Value: v, Rev: r.Kvs[0].ModRevision}, err
}

func (s *client) List(ctx context.Context, under string) ([]quorum.KV, int64, error) {
	ctx, cancel := limit(ctx)
	defer cancel()
	r, err := s.c.Get(ctx, prefix+under, clientv3.WithPrefix())
	if err != nil {
		return nil, 0, wrap(err)
	}
	out := make([]quorum.KV, len(r.Kvs))
	for i, kv := range r.Kvs {
		key := string(kv.Key[len(prefix):])
		v, err := quorum.Unseal(key, kv.Value)
		if err != nil {
			return nil, 0, err
		}
		out[i] = quorum.KV{Key: key, Value: v, Rev: kv.ModRevision}
	}
	return out, r.Header.Revision, nil
}

func (s *client) Commit(ctx context.Context, t quorum.Txn) (int64, error) {
	if err := t.Check(); err != nil {
		return 0, err
	}
	ctx, cancel := limit(ctx)
	defer cancel()
	var conds []clientv3.Cmp
	for _, c := range t.If {
		conds = append(conds, clientv3.Compare(clientv3.ModRevision(prefix+c.Key), "=", c.Rev))
	}
	var ops []clientv3.Op
	for _, kv := range t.Put {
		ops = append(ops, clientv3.OpPut(prefix+kv.Key, string(quorum.Seal(kv.Key, kv.Value))))
	}
	for _, k := range t.Delete {
		ops = append(ops, clientv3.OpDelete(prefix+k))
	}
	r, err := s.c.Txn(ctx).If(conds...).Then(ops...).Commit()
	switch {
	case err != nil:
		return 0, wrap(err)
	case !r.Succeeded:
		return 0, quorum.ErrConflict
	}
	return r.Header.Revision, nil
}

func (s *client) Watch(ctx context.Context, under string, from int64) <-chan quorum.Changes {
	out := make(chan quorum.Changes)
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	in := s.c.Watch(ctx, prefix+under, clientv3.WithPrefix(), clientv3.WithRev(from+1))
	go func() {
		defer close(out)
		defer cancel()
		for r := range in {
			for _, c := range changes(&r) {
				select {
				case out <- c:
				case <-ctx.Done():
					return
				}
				if c.Err != nil {
					return
				}
			}
		}
	}()
	return out
}

// changes cuts what the engine sends at once into revisions.
func changes(r *clientv3.WatchResponse) (list []quorum.Changes) {
	for _, e := range r.Events {
		key := string(e.Kv.Key[len(prefix):])
		ev := quorum.Event{KV: quorum.KV{Key: key, Rev: e.Kv.ModRevision}}
		if e.Type == clientv3.EventTypePut {
			v, err := quorum.Unseal(key, e.Kv.Value)
			if err != nil {
				return append(list, quorum.Changes{Err: err})
			}
			ev.Value = v
			if v == nil {
				ev.Value = []byte{}
			}
		}
		if n := len(list); n == 0 || list[n-1].Rev != ev.Rev {
			list = append(list, quorum.Changes{Rev: ev.Rev})
		}
		last := &list[len(list)-1]
		last.Events = append(last.Events, ev)
	}
	if err := r.Err(); err != nil {
		list = append(list, quorum.Changes{Err: wrap(err)})
	}
	return list
}

func (s *client) Lead(ctx context.Context, name, who string) (*quorum.Term, error) {
	life, end := context.WithCancel(context.Background())
	session, err := concurrency.NewSession(s.c, concurrency.WithTTL(leaseSeconds), concurrency.WithContext(life))
	if err != nil {
		end()
		return nil, wrap(err)
	}
	e := concurrency.NewElection(session, electionPrefix(name))
	if err := e.Campaign(ctx, who); err != nil {
		end()
		return nil, wrap(err)
	}
	return &quorum.Term{
		Key: e.Key()[len(prefix):], Rev: e.Rev(), Done: session.Done(),
		Resign: func() {
			c, cancel := context.WithTimeout(context.Background(), leaseSeconds*time.Second)
			defer cancel()
			_ = e.Resign(c)
			_ = session.Close()
			end()
		},
	}, nil
}

func electionPrefix(name string) string { return prefix + "\x00lead/" + name }

func (s *client) Leader(ctx context.Context, name string) (string, error) {
	ctx, cancel := limit(ctx)
	defer cancel()
	r, err := s.c.Get(ctx, electionPrefix(name)+"/", clientv3.WithFirstCreate()...)
	if err != nil || len(r.Kvs) == 0 {
		return "", wrap(err)
	}
	return string(r.Kvs[0].Value), nil
}

func (s *client) Members(ctx context.Context) ([]quorum.Member, error) {
	ctx, cancel := limit(ctx)
	defer cancel()
	r, err := s.c.MemberList(ctx)
	if err != nil {
		return nil, wrap(err)
	}
	out := make([]quorum.Member, len(r.Members))
	var wg sync.WaitGroup
	for i, m := range r.Members {
		out[i].Name = m.Name
		wg.Go(func() {
			for _, u := range m.ClientURLs {
				c, cancel := context.WithTimeout(ctx, 2*time.Second)
				st, err := s.c.Status(c, u)
				cancel()
				if err == nil {
					out[i].Alive, out[i].Leader = true, st.Leader == m.ID
					return
				}
			}
		})
	}
	wg.Wait()
	return out, nil
}

func (s *client) Close() error {
	s.once.Do(func() {
		s.err = s.c.Close()
		if errors.Is(s.err, context.Canceled) {
			s.err = nil
		}
		if s.stop != nil {
			s.err = errors.Join(s.err, s.stop())
		}
	})
	return s.err
}

// wrap translates the engine's errors.
func wrap(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, rpctypes.ErrCompacted):
		return quorum.ErrCompacted
	case errors.Is(err, rpctypes.ErrRequestTooLarge):
		return fmt.Errorf("%w: %w", quorum.ErrTooLarge, err)
	}
	return fmt.Errorf("quorum: %w", err)
}
