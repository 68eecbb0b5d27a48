package mon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/denc"
	"ebofs/cluster/monmap"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
	"ebofs/cluster/quorum"
)

// ErrNoCluster is returned when the quorum holds no cluster yet.
var ErrNoCluster = errors.New("no cluster here: make one first")

// State is what the quorum holds, decoded. It is never changed: with makes the
// next one.
type State struct {
	Rev       int64
	MonMap    *monmap.Map
	MonMapRaw []byte
	OSD       *osdmap.Map
	Full      []byte                // the newest map, encoded
	Incs      map[ceph.Epoch][]byte // increments that are kept
	Oldest    ceph.Epoch            // of Incs
	Entities  map[ceph.EntityName]cephx.Entity
	Rotating  []byte
	Config    map[string]map[string]string // who, option
	KV        map[string][]byte
	Creating  map[ceph.PoolID]creating
	Meta      map[int32]map[string]string // by OSD
	MonMeta   map[string]map[string]string
	Mutes     map[string]mute     // by code
	History   map[uint64]revision // of the configuration
	Log       []msg.LogEntry      // the last keptLog
	logFirst  uint64              // number of Log[0]

	revs map[string]int64 // of every key
}

// Entity implements cephx.Entities.
func (s *State) Entity(n ceph.EntityName) (cephx.Entity, bool) {
	e, ok := s.Entities[n]
	return e, ok
}

// load reads all of the quorum's store.
func load(ctx context.Context, q quorum.Store) (*State, error) {
	s := &State{
		Incs: map[ceph.Epoch][]byte{}, Entities: map[ceph.EntityName]cephx.Entity{}, Config: map[string]map[string]string{},
		KV: map[string][]byte{}, Creating: map[ceph.PoolID]creating{}, Meta: map[int32]map[string]string{}, MonMeta: map[string]map[string]string{}, Mutes: map[string]mute{}, History: map[uint64]revision{},
		revs: map[string]int64{},
	}
	all, rev, err := q.List(ctx, "")
	if err != nil {
		return nil, err
	}
	// The newest full map stands for all before it.
	last := ""
	for _, kv := range all {
		if strings.HasPrefix(kv.Key, prefixFull) {
			last = kv.Key
		}
	}
	for _, kv := range all {
		if strings.HasPrefix(kv.Key, prefixFull) && kv.Key != last {
			s.revs[kv.Key] = kv.Rev
			continue
		}
		if err := s.take(kv); err != nil {
			return nil, err
		}
	}
	if s.MonMap == nil || s.OSD == nil {
		return nil, ErrNoCluster
	}
	s.Rev = rev
	return s, nil
}

// with returns the State after changes.
func (s *State) with(c quorum.Changes) (*State, error) {
	n := *s
	n.Incs, n.Entities, n.Config = maps.Clone(s.Incs), maps.Clone(s.Entities), maps.Clone(s.Config)
	n.Creating = maps.Clone(s.Creating)
	n.KV, n.Meta, n.revs = maps.Clone(s.KV), maps.Clone(s.Meta), maps.Clone(s.revs)
	n.MonMeta, n.Mutes, n.History = maps.Clone(s.MonMeta), maps.Clone(s.Mutes), maps.Clone(s.History)
	n.Log = slices.Clip(s.Log)
	n.Rev = c.Rev
	for _, e := range c.Events {
		var err error
		if e.Value == nil {
			n.drop(e.Key)
		} else {
			err = n.take(e.KV)
		}
		if err != nil {
			return nil, err
		}
	}
	return &n, nil
}

// take enters a key.
func (s *State) take(kv quorum.KV) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("quorum key %q: %w", kv.Key, err)
		}
	}()
	s.revs[kv.Key] = kv.Rev
	family, rest, _ := strings.Cut(kv.Key, "/")
	switch family {
	case keyMonMap:
		d := denc.NewDecoder(kv.Value)
		s.MonMap, s.MonMapRaw = monmap.Decode(d), kv.Value
		return d.Finish()
	case "osdmap":
		return s.takeMap(kv)
	case "auth":
		n, err := ceph.ParseEntityName(rest)
		if err != nil {
			return err
		}
		s.Entities[n], err = decodeEntity(kv.Value)
		return err
	case keyRotating:
		s.Rotating = kv.Value
	case "config":
		who, option := cutLast(rest)
		c := maps.Clone(s.Config[who])
		if c == nil {
			c = map[string]string{}
		}
		c[option] = string(kv.Value)
		s.Config[who] = c
	case "config-key":
		s.KV[rest] = kv.Value
	case "creating":
		var id ceph.PoolID
		if _, err := fmt.Sscanf(rest, "%d", &id); err != nil {
			return err
		}
		s.Creating[id], err = decodeCreating(kv.Value)
		return err
	case "osd-meta":
		var id int32
		var m map[string]string
		if _, err := fmt.Sscanf(rest, "%d", &id); err != nil {
			return err
		}
		if err := json.Unmarshal(kv.Value, &m); err != nil {
			return err
		}
		s.Meta[id] = m
	case "mon-meta":
		var m map[string]string
		if err := json.Unmarshal(kv.Value, &m); err != nil {
			return err
		}
		s.MonMeta[rest] = m
	case "mute":
		var m mute
		if err := json.Unmarshal(kv.Value, &m); err != nil {
			return err
		}
		s.Mutes[rest] = m
	case "config-log":
		var n uint64
		var r revision
		if _, err := fmt.Sscanf(rest, "%d", &n); err != nil {
			return err
		}
		if err := json.Unmarshal(kv.Value, &r); err != nil {
			return err
		}
		s.History[n] = r
	case "log":
		var n uint64
		if _, err := fmt.Sscanf(rest, "%d", &n); err != nil {
			return err
		}
		d := denc.NewDecoder(kv.Value)
		l := msg.DecodeLogEntry(d)
		if err := d.Finish(); err != nil {
			return err
		}
		if len(s.Log) == 0 {
			s.logFirst = n
		}
		s.Log = append(s.Log, l)
	}
	return nil
}

func (s *State) takeMap(kv quorum.KV) (err error) {
	switch {
	case strings.HasPrefix(kv.Key, prefixFull):
		s.OSD, err = osdmap.Decode(kv.Value)
		s.Full = kv.Value
	case strings.HasPrefix(kv.Key, prefixInc):
		var e ceph.Epoch
		if _, err := fmt.Sscanf(kv.Key[len(prefixInc):], "%d", &e); err != nil {
			return err
		}
		s.Incs[e] = kv.Value
		if s.Oldest == 0 || e < s.Oldest {
			s.Oldest = e
		}
	}
	return err
}

// drop forgets a key.
func (s *State) drop(key string) {
	delete(s.revs, key)
	family, rest, _ := strings.Cut(key, "/")
	switch family {
	case "osdmap":
		if strings.HasPrefix(key, prefixInc) {
			var e ceph.Epoch
			_, _ = fmt.Sscanf(key[len(prefixInc):], "%d", &e)
			delete(s.Incs, e)
			if e == s.Oldest {
				s.Oldest++
			}
		}
	case "auth":
		if n, err := ceph.ParseEntityName(rest); err == nil {
			delete(s.Entities, n)
		}
	case "config":
		who, option := cutLast(rest)
		c := maps.Clone(s.Config[who])
		delete(c, option)
		if s.Config[who] = c; len(c) == 0 {
			delete(s.Config, who)
		}
	case "config-key":
		delete(s.KV, rest)
	case "creating":
		var id ceph.PoolID
		if _, err := fmt.Sscanf(rest, "%d", &id); err == nil {
			delete(s.Creating, id)
		}
	case "osd-meta":
		var id int32
		if _, err := fmt.Sscanf(rest, "%d", &id); err == nil {
			delete(s.Meta, id)
		}
	case "mon-meta":
		delete(s.MonMeta, rest)
	case "mute":
		delete(s.Mutes, rest)
	case "config-log":
		var n uint64
		if _, err := fmt.Sscanf(rest, "%d", &n); err == nil {
			delete(s.History, n)
		}
	case "log":
		if len(s.Log) > 0 {
			s.Log, s.logFirst = s.Log[1:], s.logFirst+1
		}
	}
}

// cutLast cuts at the last slash: masks of hosts and classes have some of their
// own.
func cutLast(s string) (before, after string) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", s
	}
	return s[:i], s[i+1:]
}
