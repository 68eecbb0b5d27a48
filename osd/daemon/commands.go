package daemon

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"syscall"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/internal/asok"
	"ebofs/osd/pg"
)

// Commands are what the OSD answers, on an admin socket and to `ceph tell`.
func (o *OSD) Commands() []asok.Command {
	show := func(name, help string, f func() any) asok.Command {
		return asok.Command{Name: name, Help: help, Run: func(context.Context, *asok.Request) (any, error) { return f(), nil }}
	}
	list := []asok.Command{
		show("dump_ops_in_flight", "show the ops currently in flight", o.track.DumpInFlight),
		show("ops", "show the ops currently in flight", o.track.DumpInFlight),
		show("dump_blocked_ops", "show the blocked ops currently in flight", o.track.DumpBlocked),
		show("dump_historic_ops", "show recent ops", func() any { return o.track.DumpHistory(false) }),
		show("dump_historic_ops_by_duration", "show slowest recent ops, sorted by duration", func() any { return o.track.DumpHistory(true) }),
		show("dump_historic_slow_ops", "show slowest recent ops", o.track.DumpSlow),
		show("status", "high-level status of OSD", o.statusJSON),
		show("version", "get ceph version", func() any {
			return map[string]string{"version": version, "release": "pacific", "release_type": "stable"}
		}),
		show("dump_blocklist", "dump blocklisted clients and times", o.blocklistJSON),
		show("dump_watchers", "show clients which have active watches, and on which objects", o.watchersJSON),
		show("perf schema", "dump perfcounters schema", func() any { return schema }),
		show("dump_scrubs", "print scheduled scrubs", o.scheduled),
		o.scrubCommand("scrub", false), o.scrubCommand("deep_scrub", true),
		show("get_mapped_pools", "dump pools whose PG(s) are mapped to this OSD.", o.mappedPools),
		{Name: "perf dump", Help: "dump perfcounters value", Args: []asok.Arg{{Name: "logger", Kind: asok.String}, {Name: "counter", Kind: asok.String}}, Run: o.perfCommand},
		{Name: "flush_pg_stats", Help: "flush pg stats", Run: func(context.Context, *asok.Request) (any, error) {
			o.mu.Lock()
			m := o.mu.m
			o.mu.Unlock()
			if m == nil {
				return nil, fmt.Errorf("no map yet: %w", syscall.EAGAIN)
			}
			return asok.Text(fmt.Sprintln(o.report(m))), nil
		}},
		{Name: "query", Help: "show details of a specific pg", Args: []asok.Arg{{Name: "pgid", Kind: asok.PGID}}, Run: func(_ context.Context, r *asok.Request) (any, error) {
			return o.queryPG(r.String("pgid"))
		}},
	}
	return append(list, o.pgCommand(), o.benchCommand(), asok.Command{
		Name: "flush_journal", Help: "flush the journal to permanent store", Run: func(ctx context.Context, _ *asok.Request) (any, error) {
			return asok.Text(""), o.cfg.Store.Sync(ctx)
		},
	}, asok.Command{
		Name: "cluster_log", Help: "log a message to the cluster log", Args: []asok.Arg{{Name: "level", Kind: asok.Choice, Choices: []string{"error"}, Required: true}, {Name: "message", Kind: asok.String, Required: true}},
		Run: func(_ context.Context, r *asok.Request) (any, error) {
			o.clog(msg.LogError, "%s", r.String("message"))
			return asok.Text(""), nil
		},
	})
}

// pgCommand is what `ceph pg PGID …` asks of an OSD.
func (o *OSD) pgCommand() asok.Command {
	return asok.Command{
		Name: "pg", Help: "ask for a PG", Args: []asok.Arg{
			{Name: "pgid", Kind: asok.PGID, Required: true}, {Name: "cmd", Kind: asok.Choice, Choices: []string{"query", "list_unfound", "mark_unfound_lost", "scrub", "deep_scrub"}, Required: true},
			{Name: "mulcmd", Kind: asok.String},
		},
		Run: func(_ context.Context, r *asok.Request) (any, error) {
			switch r.String("cmd") {
			case "query":
				return o.queryPG(r.String("pgid"))
			case "scrub", "deep_scrub":
				id, _ := ceph.ParsePG(r.String("pgid"))
				_, err := o.pgOf(r.String("pgid"))
				if err == nil {
					o.askScrub(scrubAsk{deep: r.String("cmd") == "deep_scrub"}, id)
				}
				return asok.Text(""), err
			case "mark_unfound_lost":
				if _, err := o.pgOf(r.String("pgid")); err != nil {
					return nil, err
				}
				return asok.Text("pg has no unfound objects"), nil
			}
			if _, err := o.pgOf(r.String("pgid")); err != nil {
				return nil, err
			}
			return map[string]any{"num_missing": 0, "num_unfound": 0, "objects": []any{}, "state": "NotRecovering", "available_might_have_unfound": true, "might_have_unfound": []any{}, "more": false}, nil
		},
	}
}

// pgOf returns a PG that is here.
func (o *OSD) pgOf(text string) (*pg.PG, error) {
	if text == "" {
		return nil, fmt.Errorf("no pgid specified: %w", syscall.EINVAL)
	}
	id, err := ceph.ParsePG(text)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", err, syscall.EINVAL)
	}
	o.mu.Lock()
	p := o.mu.pgs[id]
	o.mu.Unlock()
	if p == nil {
		return nil, fmt.Errorf("i don't have pgid %v: %w", id, syscall.ENOENT)
	}
	return p, nil
}

func (o *OSD) perfCommand(_ context.Context, r *asok.Request) (any, error) {
	all := o.perfDump()
	logger, counter := r.String("logger"), r.String("counter")
	for name, m := range all {
		if logger != "" && name != logger {
			delete(all, name)
			continue
		}
		maps.DeleteFunc(m, func(k string, _ any) bool { return counter != "" && k != counter })
	}
	return all, nil
}

func (o *OSD) statusJSON() any {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := struct {
		Cluster string     `json:"cluster_fsid"`
		FSID    string     `json:"osd_fsid"`
		ID      int32      `json:"whoami"`
		State   string     `json:"state"`
		Oldest  ceph.Epoch `json:"oldest_map"`
		Newest  ceph.Epoch `json:"newest_map"`
		PGs     int        `json:"num_pgs"`
	}{o.id.FSID.String(), o.id.UUID.String(), o.cfg.ID, "booting", 0, 0, len(o.mu.pgs)}
	if o.mu.m != nil {
		s.Oldest, s.Newest = o.mu.m.Epoch, o.mu.m.Epoch // one map is kept
	}
	if o.mu.up {
		s.State = "active"
	}
	return s
}

func (o *OSD) blocklistJSON() any {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := []any{}
	if o.mu.m != nil {
		for a, until := range o.mu.m.Blocklist {
			list = append(list, map[string]any{"entity_addr_t": fmt.Sprintf("%v/%d", a.IP, a.Nonce), "expire_time": until.String()})
		}
	}
	return list
}

func (o *OSD) mappedPools() any {
	o.mu.Lock()
	defer o.mu.Unlock()
	pools := map[ceph.PoolID]bool{}
	for id := range o.mu.pgs {
		pools[id.Pool] = true
	}
	return map[string]any{"mapped_pools": append([]ceph.PoolID{}, slices.Sorted(maps.Keys(pools))...)}
}

func (o *OSD) watchersJSON() any {
	o.mu.Lock()
	list := maps.Clone(o.mu.pgs)
	o.mu.Unlock()
	type watch struct {
		Namespace string `json:"namespace"`
		Object    string `json:"object"`
		Entity    struct {
			Type string `json:"type"`
			Num  int64  `json:"num"`
		} `json:"entity_name"`
		Cookie  uint64 `json:"cookie"`
		Timeout uint32 `json:"timeout"`
		Addr    string `json:"entity_addr"`
	}
	out := []watch{}
	for _, p := range list {
		for _, w := range p.Watchers() {
			x := watch{Namespace: w.Object.Namespace, Object: w.Object.Name, Cookie: w.Key.Cookie, Timeout: w.Timeout}
			x.Entity.Type, x.Entity.Num = w.Key.Client.Type.String(), w.Key.Client.Num
			if w.Bound {
				x.Addr = fmt.Sprintf("%v/%d", w.Addr.IP, w.Addr.Nonce)
			}
			out = append(out, x)
		}
	}
	slices.SortFunc(out, func(a, b watch) int { return int(a.Entity.Num - b.Entity.Num) })
	return map[string]any{"watchers": out}
}

// queryPG is the answer of `ceph pg PGID query`.
func (o *OSD) queryPG(text string) (any, error) {
	p, err := o.pgOf(text)
	if err != nil {
		return nil, err
	}
	id, _ := ceph.ParsePG(text)
	o.mu.Lock()
	m, now := o.mu.m, o.cfg.Now()
	var st msg.PGStat
	var trimming msg.PGState
	if at := o.mu.places[id]; at != nil {
		st = at.stat(m, o.cfg.ID, 0, now)
		st.State, trimming = o.stateLocked(m, id, at, now), at.trimming
	}
	o.mu.Unlock()
	s := o.holdAll(&st, m, id, p, trimming)
	return map[string]any{
		"snap_trimq": m.RemovedSnapsQueue[id.Pool].Without(intervals(st.PurgedSnaps)).String(), "snap_trimq_len": st.SnapTrimQueue, "state": st.State.String(), "epoch": m.Epoch, "up": st.Up, "acting": st.Acting,
		"acting_recovery_backfill": []string{fmt.Sprint(o.cfg.ID)},
		"info": map[string]any{
			"pgid": id.String(), "last_update": s.Last.String(), "last_complete": s.Last.String(), "log_tail": s.LogStart.String(), "last_user_version": s.LastUser,
			"last_backfill": "MAX", "purged_snaps": []any{},
			"history": map[string]any{"epoch_created": s.Created, "epoch_pool_created": s.Created, "same_primary_since": s.Created, "last_scrub": st.LastScrub.String(), "last_scrub_stamp": st.LastScrubStamp.String(), "last_deep_scrub": st.LastDeepScrub.String(), "last_deep_scrub_stamp": st.LastDeepScrubStamp.String()},
			"stats": map[string]any{
				"version": s.Last.String(), "state": st.State.String(), "log_size": s.LogEntries, "ondisk_log_size": s.LogEntries,
				"stat_sum": map[string]any{"num_bytes": st.Sum.Bytes, "num_objects": st.Sum.Objects, "num_object_clones": st.Sum.Clones, "num_whiteouts": st.Sum.Whiteouts, "num_read": st.Sum.Reads, "num_read_kb": st.Sum.ReadKB, "num_write": st.Sum.Writes, "num_write_kb": st.Sum.WriteKB, "num_scrub_errors": st.Sum.ScrubErrors},
				"up":       st.Up, "acting": st.Acting, "up_primary": st.UpPrimary, "acting_primary": st.ActingPrimary,
			},
		},
		"peer_info": []any{}, "recovery_state": []any{map[string]any{"name": "Started/Primary/Active"}}, "agent_state": map[string]any{},
	}, nil
}
