package quorum

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

var (
	// ErrConflict is returned by Commit when a key has changed meanwhile.
	ErrConflict = errors.New("changed meanwhile")
	// ErrCompacted is sent by Watch when what happened is no longer known: the
	// caller lists the keys and watches from there.
	ErrCompacted = errors.New("history is gone")
	// ErrCorrupt is returned for a value that fails its checksum.
	ErrCorrupt = errors.New("value is corrupt")
	// ErrTooLarge is returned for a transaction above MaxTxnBytes.
	ErrTooLarge = errors.New("transaction is too large")
	// ErrClosed is returned by every call on a closed store.
	ErrClosed = errors.New("quorum store is closed")
)

const (
	// MaxTxnBytes bounds keys and values of one transaction: a full map of ten
	// thousand OSDs is 4 MiB.
	MaxTxnBytes = 15 << 20
	// MaxTxnOps bounds the keys of one transaction.
	MaxTxnOps = 4096
)

// KV is a key, its value, and the revision of its last change. A value that was read
// may be shared with others: it can be appended to, and not changed in place.
type KV struct {
	Key   string
	Value []byte
	Rev   int64
}

// Cond is a condition of a transaction: the key has not changed since Rev; 0: it
// does not exist.
type Cond struct {
	Key string
	Rev int64
}

// Txn is a change: all of it if every condition holds, else none.
type Txn struct {
	If     []Cond
	Put    []KV     // Rev is not looked at
	Delete []string // keys; deleting what does not exist is no error
}

// Event is a change that was watched: Value nil is a deletion.
type Event struct {
	KV
}

// Changes is what one revision changed, or why watching has ended.
type Changes struct {
	Rev    int64
	Events []Event
	Err    error
}

// Store is a view of the shared memory.
type Store interface {
	// Get returns the value of a key and its revision, 0 if it does not exist.
	Get(ctx context.Context, key string) (KV, error)
	// List returns the keys that begin with prefix, in order, and the revision of
	// the whole.
	List(ctx context.Context, prefix string) ([]KV, int64, error)
	// Commit makes a change and returns its revision; ErrConflict if a condition
	// does not hold. After any other error it may or may not have happened.
	Commit(ctx context.Context, t Txn) (int64, error)
	// Watch sends the changes of keys that begin with prefix after revision from,
	// in order, until ctx ends. The last element has Err set, unless ctx has ended;
	// then the channel is closed.
	Watch(ctx context.Context, prefix string, from int64) <-chan Changes
	// Lead waits until this process leads what name stands for, and returns its
	// term. who is what others see.
	Lead(ctx context.Context, name, who string) (*Term, error)
	// Leader returns who leads, "" if nobody does.
	Leader(ctx context.Context, name string) (string, error)
	// Members returns the names of the engine's members and whether they answer.
	Members(ctx context.Context) ([]Member, error)
	// Close gives up the view, and the engine if it was started for it.
	Close() error
}

// Term is a time of leadership.
type Term struct {
	// Key exists with revision Rev as long as the term is in force: name it in the
	// conditions of what only the leader may write.
	Key string
	Rev int64
	// Done is closed when the term is over.
	Done <-chan struct{}
	// Resign ends it.
	Resign func()
}

// Cond returns the condition that the term is in force.
func (t *Term) Cond() Cond { return Cond{t.Key, t.Rev} }

// Member is one member of the engine.
type Member struct {
	Name   string
	Alive  bool
	Leader bool // of the engine, not of a Term
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Seal puts the checksum, over key and value, in front of a value.
func Seal(key string, value []byte) []byte {
	out := make([]byte, 4, 4+len(value))
	binary.LittleEndian.PutUint32(out, sum(key, value))
	return append(out, value...)
}

func sum(key string, value []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte(key), castagnoli), castagnoli, value)
}

// Unseal verifies and takes off the checksum that Seal put there.
func Unseal(key string, sealed []byte) ([]byte, error) {
	if len(sealed) < 4 {
		return nil, fmt.Errorf("key %q: %d bytes: %w", key, len(sealed), ErrCorrupt)
	}
	value := sealed[4:]
	if got, want := sum(key, value), binary.LittleEndian.Uint32(sealed); got != want {
		return nil, fmt.Errorf("key %q: crc %08x, want %08x: %w", key, got, want, ErrCorrupt)
	}
	return value, nil
}

// Check refuses what no engine takes: every Commit begins with it.
func (t *Txn) Check() error {
	size := 0
	seen := map[string]bool{}
	for _, kv := range t.Put {
		size += len(kv.Key) + len(kv.Value) + 4
		if seen[kv.Key] {
			return fmt.Errorf("key %q twice in a transaction", kv.Key)
		}
		seen[kv.Key] = true
	}
	for _, k := range t.Delete {
		if seen[k] {
			return fmt.Errorf("key %q twice in a transaction", k)
		}
		seen[k] = true
	}
	if size > MaxTxnBytes || len(t.Put)+len(t.Delete) > MaxTxnOps || len(t.If) > MaxTxnOps {
		return fmt.Errorf("%d bytes, %d changes: %w", size, len(t.Put)+len(t.Delete), ErrTooLarge)
	}
	return nil
}
