package quorum

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Memory is the twin in RAM: what several Stores share, without an engine. What
// happens depends on the calls alone.
type Memory struct {
	mu struct {
		sync.Mutex
		rev     int64
		keys    map[string]KV
		history []Changes // every change since the beginning, or the last compaction
		from    int64     // revisions up to here are gone from history
		changed chan struct{}
		fail    error
	}
}

// NewMemory returns an empty memory.
func NewMemory() *Memory {
	m := &Memory{}
	m.mu.keys = map[string]KV{}
	m.mu.rev = 1
	m.mu.changed = make(chan struct{})
	return m
}

// View returns the Store of one member.
func (m *Memory) View(name string) Store { return &view{m: m, name: name, done: make(chan struct{})} }

// Fail makes every call return err until it is nil: a lost majority.
func (m *Memory) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.fail = err
}

// Compact forgets the history up to now.
func (m *Memory) Compact() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.history, m.mu.from = nil, m.mu.rev
}

type view struct {
	m    *Memory
	name string
	once sync.Once
	done chan struct{}
}

// enter locks the memory for a call; leave must follow if there is no error.
func (v *view) enter(ctx context.Context) error {
	select {
	case <-v.done:
		return ErrClosed
	default:
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	v.m.mu.Lock()
	if err := v.m.mu.fail; err != nil {
		v.m.mu.Unlock()
		return err
	}
	return nil
}

func (v *view) leave() { v.m.mu.Unlock() }

func (v *view) Get(ctx context.Context, key string) (KV, error) {
	if err := v.enter(ctx); err != nil {
		return KV{}, err
	}
	defer v.leave()
	kv, ok := v.m.mu.keys[key]
	if !ok {
		return KV{Key: key}, nil
	}
	return kv, nil
}

func (v *view) List(ctx context.Context, prefix string) ([]KV, int64, error) {
	if err := v.enter(ctx); err != nil {
		return nil, 0, err
	}
	defer v.leave()
	var out []KV
	for _, k := range slices.Sorted(maps.Keys(v.m.mu.keys)) {
		if strings.HasPrefix(k, prefix) {
			out = append(out, v.m.mu.keys[k])
		}
	}
	return out, v.m.mu.rev, nil
}

func (v *view) Commit(ctx context.Context, t Txn) (int64, error) {
	if err := t.Check(); err != nil {
		return 0, err
	}
	if err := v.enter(ctx); err != nil {
		return 0, err
	}
	defer v.leave()
	m := &v.m.mu
	for _, c := range t.If {
		if have := m.keys[c.Key].Rev; have != c.Rev {
			return 0, fmt.Errorf("key %q has revision %d, not %d: %w", c.Key, have, c.Rev, ErrConflict)
		}
	}
	if len(t.Put)+len(t.Delete) == 0 {
		return m.rev, nil
	}
	m.rev++
	c := Changes{Rev: m.rev}
	for _, kv := range t.Put {
		kv.Rev, kv.Value = m.rev, slices.Clip(append([]byte{}, kv.Value...)) // whoever appends to what they read has a copy
		m.keys[kv.Key] = kv
		c.Events = append(c.Events, Event{kv})
	}
	for _, k := range t.Delete {
		if _, ok := m.keys[k]; ok {
			delete(m.keys, k)
			c.Events = append(c.Events, Event{KV{Key: k, Rev: m.rev}})
		}
	}
	m.history = append(m.history, c)
	close(m.changed)
	m.changed = make(chan struct{})
	return m.rev, nil
}

func (v *view) Watch(ctx context.Context, prefix string, from int64) <-chan Changes {
	out := make(chan Changes)
	go func() {
		defer close(out)
		for {
			list, changed, err := v.since(prefix, &from)
			if err != nil {
				list = append(list, Changes{Err: err})
			}
			for _, c := range list {
				select {
				case out <- c:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			case <-v.done:
				return
			}
		}
	}()
	return out
}

// since returns what has changed after *from, and moves it on.
func (v *view) since(prefix string, from *int64) (list []Changes, changed chan struct{}, err error) {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	m := &v.m.mu
	if *from < m.from {
		return nil, nil, ErrCompacted
	}
	for _, c := range m.history {
		if c.Rev <= *from {
			continue
		}
		*from = c.Rev
		own := Changes{Rev: c.Rev}
		for _, e := range c.Events {
			if strings.HasPrefix(e.Key, prefix) {
				own.Events = append(own.Events, e)
			}
		}
		if len(own.Events) > 0 {
			list = append(list, own)
		}
	}
	return list, m.changed, nil
}

// leaderKey is where the leader of name stands.
func leaderKey(name string) string { return "\x00lead/" + name }

func (v *view) Lead(ctx context.Context, name, who string) (*Term, error) {
	key := leaderKey(name)
	for {
		kv, err := v.Get(ctx, key)
		if err != nil {
			return nil, err
		}
		if kv.Rev == 0 {
			rev, err := v.Commit(ctx, Txn{If: []Cond{{key, 0}}, Put: []KV{{Key: key, Value: []byte(who)}}})
			if err == nil {
				return v.term(key, rev), nil
			}
			continue
		}
		wait, cancel := context.WithCancel(ctx)
		select {
		case <-v.Watch(wait, key, kv.Rev):
		case <-ctx.Done():
		case <-v.done:
		}
		cancel()
	}
}

func (v *view) term(key string, rev int64) *Term {
	done := make(chan struct{})
	watch, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(done)
		select {
		case <-v.Watch(watch, key, rev):
		case <-v.done:
		}
	}()
	return &Term{Key: key, Rev: rev, Done: done, Resign: func() {
		_, _ = v.Commit(context.Background(), Txn{If: []Cond{{key, rev}}, Delete: []string{key}})
		cancel()
		<-done
	}}
}

func (v *view) Leader(ctx context.Context, name string) (string, error) {
	kv, err := v.Get(ctx, leaderKey(name))
	return string(kv.Value), err
}

func (v *view) Members(ctx context.Context) ([]Member, error) {
	if err := v.enter(ctx); err != nil {
		return nil, err
	}
	defer v.leave()
	return []Member{{Name: "memory", Alive: true, Leader: true}}, nil
}

func (v *view) Close() error {
	v.once.Do(func() { close(v.done) })
	return nil
}
