package cephx

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

// RotatingKey is one of a service's secrets.
type RotatingKey struct {
	ID      uint64
	Key     Key
	Expires time.Time
}

// RotatingKeys are the secrets of a service: the previous one, the current one,
// with which tickets are made, and the next, ascending.
type RotatingKeys []RotatingKey

// kept is how many secrets a service has at a time.
const kept = 3

// Encode appends the set as daemons get it. (RotatingSecrets.)
func (r RotatingKeys) Encode(e *denc.Encoder) {
	e.U8(1)
	var newest uint64
	denc.PutSlice(e, r, func(e *denc.Encoder, k RotatingKey) {
		e.U64(k.ID)
		e.U8(1)
		k.Key.Encode(e)
		ceph.MakeTime(k.Expires).Encode(e)
		newest = max(newest, k.ID)
	})
	e.U64(newest)
}

// DecodeRotatingKeys reads a set.
func DecodeRotatingKeys(d *denc.Decoder) RotatingKeys {
	version(d, "rotating secrets", 1, 1)
	r := RotatingKeys(denc.Slice(d, 21, func(d *denc.Decoder) RotatingKey {
		id := d.U64()
		version(d, "rotating secret", 1, 1)
		return RotatingKey{id, DecodeKey(d), ceph.DecodeTime(d).Std()}
	}))
	newest := d.U64()
	for i := 1; i < len(r); i++ {
		if r[i].ID <= r[i-1].ID {
			d.Failf("secret %d behind %d", r[i].ID, r[i-1].ID)
		}
	}
	if len(r) > 0 && r[len(r)-1].ID > newest {
		d.Failf("secret %d, newest is %d", r[len(r)-1].ID, newest)
	}
	return r
}

// find returns the secret with an id.
func (r RotatingKeys) find(id uint64) (RotatingKey, bool) {
	for _, k := range r {
		if k.ID == id {
			return k, true
		}
	}
	return RotatingKey{}, false
}

// current returns the secret with which tickets are made.
func (r RotatingKeys) current() RotatingKey { return r[max(len(r)-2, 0)] }

// TicketKeys opens tickets of a service.
type TicketKeys interface {
	// TicketKey returns the secret of a service with an id.
	TicketKey(service ceph.EntityType, id uint64) (Key, bool)
}

// ServiceKeys are the secrets of its own service that a daemon has from the
// monitor. The zero value has none and opens no ticket.
type ServiceKeys struct {
	Service ceph.EntityType

	mu struct {
		sync.Mutex
		keys RotatingKeys
	}
}

// Set replaces the secrets.
func (s *ServiceKeys) Set(keys RotatingKeys) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.keys = keys
}

// TicketKey implements TicketKeys.
func (s *ServiceKeys) TicketKey(service ceph.EntityType, id uint64) (Key, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.mu.keys.find(id)
	return k.Key, ok && service == s.Service
}

// fetchAhead is how long before its current secret expires a daemon asks for the
// next set.
const fetchAhead = 30 * time.Second

// Stale reports whether it is time to ask the monitor for new secrets.
func (s *ServiceKeys) Stale(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.keys) == 0 || now.Add(fetchAhead).After(s.mu.keys.current().Expires)
}

// Lifetimes of secrets and of the tickets made with them, as Ceph.
const (
	ServiceTTL = time.Hour
	AuthTTL    = 72 * time.Hour
)

// ticketServices are those for which secrets exist.
var ticketServices = []ceph.EntityType{ceph.TypeMon, ceph.TypeMDS, ceph.TypeOSD, ceph.TypeMgr, ceph.TypeAuth}

// KeyServer is a monitor's rotating secrets of all services. Several monitors
// share one set: the leader rotates and hands it on with Export and Import.
type KeyServer struct {
	now  func() time.Time
	rand io.Reader
	ttl  func(ceph.EntityType) time.Duration

	mu struct {
		sync.Mutex
		services map[ceph.EntityType]RotatingKeys
	}
}

// NewKeyServer returns a server without secrets: Rotate makes the first.
func NewKeyServer(now func() time.Time, rand io.Reader) *KeyServer {
	s := &KeyServer{now: now, rand: rand, ttl: func(t ceph.EntityType) time.Duration {
		if t == ceph.TypeAuth {
			return AuthTTL
		}
		return ServiceTTL
	}}
	s.mu.services = map[ceph.EntityType]RotatingKeys{}
	return s
}

// Rotate makes the secrets that are due, and reports whether any were: then
// Export has to be stored before tickets are made with them.
func (s *KeyServer) Rotate() (changed bool, err error) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range ticketServices {
		keys := s.mu.services[t]
		for len(keys) < kept || !now.Before(keys.current().Expires) {
			k := RotatingKey{ID: 1, Expires: now.Add(s.ttl(t))}
			if n := len(keys); n > 0 {
				last := keys[n-1]
				k.ID = last.ID + 1
				if last.Expires.After(now) {
					k.Expires = last.Expires.Add(s.ttl(t))
				}
			}
			if k.Key, err = NewKey(s.rand, now); err != nil {
				return changed, fmt.Errorf("rotate secrets of %v: %w", t, err)
			}
			keys = append(slices.Clone(keys), k)
			if len(keys) > kept {
				keys = keys[1:]
			}
			changed = true
		}
		s.mu.services[t] = keys
	}
	return changed, nil
}

// Keys returns the secrets of a service, for a daemon of it.
func (s *KeyServer) Keys(service ceph.EntityType) RotatingKeys {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mu.services[service])
}

// TicketKey implements TicketKeys.
func (s *KeyServer) TicketKey(service ceph.EntityType, id uint64) (Key, bool) {
	k, ok := s.Keys(service).find(id)
	return k.Key, ok
}

// Export returns all secrets, to be stored where only monitors read.
func (s *KeyServer) Export() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var e denc.Encoder
	e.U8(1)
	denc.PutMap(&e, s.mu.services, func(e *denc.Encoder, t ceph.EntityType) { e.U32(uint32(t)) },
		func(e *denc.Encoder, k RotatingKeys) { k.Encode(e) })
	return e.Bytes()
}

// Import takes secrets that Export returned.
func (s *KeyServer) Import(p []byte) error {
	d := denc.NewDecoder(p)
	version(d, "key server", 1, 1)
	services := denc.Map(d, 17, func(d *denc.Decoder) ceph.EntityType { return ceph.EntityType(d.U32()) }, DecodeRotatingKeys)
	if err := d.Finish(); err != nil {
		return fmt.Errorf("key server: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.services = map[ceph.EntityType]RotatingKeys{}
	maps.Copy(s.mu.services, services)
	return nil
}

// ticket makes a ticket for a service.
func (s *KeyServer) ticket(service ceph.EntityType, info ticketInfo) (grant, error) {
	keys := s.Keys(service)
	if len(keys) < kept {
		return grant{}, fmt.Errorf("no secrets for %v", service)
	}
	now, ttl := s.now(), s.ttl(service)
	session, err := NewKey(s.rand, now)
	if err != nil {
		return grant{}, err
	}
	info.Created, info.Expires, info.Session = ceph.MakeTime(now), ceph.MakeTime(now.Add(ttl)), session
	k := keys.current()
	return grant{service, session, ttl, ticketBlob{k.ID, k.Key.seal(info.encode)}}, nil
}
