package mon

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/conf"
	"ebofs/cluster/msgr"
	"ebofs/cluster/quorum"
)

// Config says what a monitor is. Fields without a default named must be given.
type Config struct {
	Name   string         // as in the map of the monitors
	Addr   netip.AddrPort // default: as in that map
	Quorum quorum.Store

	// Methods of authentication that clients may use; default: cephx alone.
	Methods []cephx.Method
	// Modes of connections; default: secure and crc.
	Modes []cephx.Mode

	// Options are the monitor's; it puts into them what the central database says.
	// Default: every option's default.
	Options *conf.Config

	// DownAfter is how long an OSD may be silent before it is marked down. Default:
	// the option mon_osd_report_timeout.
	DownAfter time.Duration

	// PeerEvery is how often monitors tell each other that they live. Default 2 s;
	// who has been silent for four times as long counts as down.
	PeerEvery time.Duration

	Transport msgr.Transport // default: TCP
	Now       func() time.Time
	Log       *slog.Logger
}

// commandsAtOnce bounds the commands that run.
const commandsAtOnce = 64

// Monitor is one monitor.
type Monitor struct {
	cfg   Config
	msgr  *msgr.Messenger
	keys  *cephx.KeyServer
	log   *slog.Logger
	ctx   context.Context
	stop  context.CancelFunc
	wg    sync.WaitGroup
	slots chan struct{} // of commands
	stats *stats
	// reboots is how many OSDs are between the two epochs of their boot.
	reboots atomic.Int32
	gids    globalIDs
	start   time.Time
	peers   peers

	statsKick chan struct{} // statistics have changed

	ticking sync.Mutex        // one tick at a time
	logged  map[string]string // the health checks as they were at the last tick; nil: there was none

	manager manager

	mu struct {
		sync.Mutex
		state    *State
		changed  chan struct{} // closed when state is replaced
		failed   error         // why the quorum is not followed any more
		sessions map[*session]struct{}
		made     map[ceph.PG]struct{} // to be noted; nil: nobody is at it
	}
}

// New returns a monitor of the cluster that the quorum holds; ErrNoCluster if it
// holds none.
func New(ctx context.Context, cfg Config) (*Monitor, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Methods == nil {
		cfg.Methods = []cephx.Method{cephx.MethodCephX}
	}
	if cfg.Modes == nil {
		cfg.Modes = []cephx.Mode{cephx.ModeSecure, cephx.ModeCRC}
	}
	if cfg.Options == nil {
		cfg.Options = conf.Defaults(ceph.EntityName{Type: ceph.TypeMon, ID: cfg.Name})
	}
	if cfg.DownAfter == 0 {
		cfg.DownAfter = cfg.Options.Duration("mon_osd_report_timeout")
	}
	if cfg.PeerEvery == 0 {
		cfg.PeerEvery = 2 * time.Second
	}
	st, err := load(ctx, cfg.Quorum)
	if err != nil {
		return nil, fmt.Errorf("monitor %s: %w", cfg.Name, err)
	}
	if st.MonMap.Rank(cfg.Name) < 0 {
		return nil, fmt.Errorf("monitor %s is not in the map of the monitors: %v", cfg.Name, st.MonMap.Ranks)
	}
	if !cfg.Addr.IsValid() || cfg.Addr.Port() == 0 {
		cfg.Addr = st.MonMap.Monitors[cfg.Name].Addrs.Msgr2().IP
	}
	m := &Monitor{cfg: cfg, log: cfg.Log, slots: make(chan struct{}, commandsAtOnce), stats: newStats(cfg.Now), start: cfg.Now(), statsKick: make(chan struct{}, 1)}
	m.peers.init()
	m.mu.state, m.mu.changed, m.mu.sessions = st, make(chan struct{}), map[*session]struct{}{}
	m.useDatabase(nil, st)
	m.ctx, m.stop = context.WithCancel(context.Background())
	m.keys = cephx.NewKeyServer(cfg.Now, rand.Reader)
	if err := m.listen(); err != nil {
		m.stop()
		return nil, err
	}
	return m, nil
}

// listen makes the messenger.
func (m *Monitor) listen() error {
	server := &cephx.Server{
		Service: ceph.TypeMon, Methods: m.cfg.Methods, Modes: m.cfg.Modes, Keys: m.keys, Now: m.cfg.Now, Rand: rand.Reader,
		Login: &cephx.Login{Entities: entities{m}, Servers: m.keys, NewGlobalID: m.newGlobalID},
	}
	o := msgr.Options{
		Type: ceph.TypeMon, IdleTimeout: m.cfg.Options.Duration("ms_connection_idle_timeout"), GID: int64(m.State().MonMap.Rank(m.cfg.Name)), Dispatcher: (*dispatcher)(m), Transport: m.cfg.Transport, Log: m.log,
		ServerAuth: func() msgr.ServerAuth { return server.Handshake() }, ClientAuth: m.peerAuth,
	}
	var err error
	if m.msgr, err = msgr.New(o); err != nil {
		return err
	}
	if err := m.msgr.Bind(m.cfg.Addr); err != nil {
		return fmt.Errorf("monitor %s: %w", m.cfg.Name, err)
	}
	return nil
}

// entities is the table of entities as it is now.
type entities struct{ m *Monitor }

func (e entities) Entity(n ceph.EntityName) (cephx.Entity, bool) { return e.m.State().Entity(n) }

// Addrs returns where the monitor listens.
func (m *Monitor) Addrs() ceph.AddrVec { return m.msgr.Addrs() }

// State returns what the quorum holds, as far as is known here.
func (m *Monitor) State() *State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mu.state
}

// Start begins to serve.
func (m *Monitor) Start(ctx context.Context) error {
	st := m.State()
	m.wg.Go(func() { m.follow(st.Rev) })
	if err := m.rotate(ctx); err != nil {
		return err
	}
	if err := m.gids.fill(ctx, m); err != nil {
		return err
	}
	if err := m.introduce(ctx); err != nil {
		return err
	}
	m.wg.Go(m.keepTime)
	m.wg.Go(m.followStats)
	if err := m.msgr.Start(); err != nil {
		return err
	}
	m.wg.Go(m.keepPeers)
	return nil
}

// Close ends all sessions and waits for what runs. The quorum stays open.
func (m *Monitor) Close() {
	m.msgr.Shutdown()
	m.closeManager()
	m.stop()
	m.wg.Wait()
}

// introduce enters what this monitor is into the quorum, where others show it.
func (m *Monitor) introduce(ctx context.Context) error {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	meta := encodeMeta(map[string]string{
		"addrs": m.Addrs().String(), "arch": runtime.GOARCH, "os": runtime.GOOS, "hostname": host, "ceph_version": Version, "ceph_version_short": "16.2", "ceph_release": "pacific",
	})
	_, err = m.change(ctx, func(c *Change) error {
		if old, ok := c.State.MonMeta[m.cfg.Name]; !ok || string(encodeMeta(old)) != string(meta) {
			c.Put(prefixMon+m.cfg.Name, meta)
		}
		return nil
	})
	return err
}

// follow keeps the State as the quorum's store is.
func (m *Monitor) follow(from int64) {
	for {
		var last error
		for c := range m.cfg.Quorum.Watch(m.ctx, "", from) {
			if last = c.Err; last != nil {
				break
			}
			st, err := m.State().with(c)
			if err != nil {
				m.fail(err)
				return
			}
			from = c.Rev
			m.setState(st)
		}
		if m.ctx.Err() != nil {
			return
		}
		if last != nil && !errors.Is(last, quorum.ErrCompacted) {
			m.log.Warn("quorum is not followed", "err", last)
		}
		select {
		case <-time.After(200 * time.Millisecond): // no majority: nothing changes meanwhile
		case <-m.ctx.Done():
			return
		}
		st, err := load(m.ctx, m.cfg.Quorum)
		if err != nil {
			m.log.Warn("quorum does not answer", "err", err)
			continue
		}
		from = st.Rev
		m.setState(st)
	}
}

// fail says that the State cannot follow: what the quorum holds makes no sense.
func (m *Monitor) fail(err error) {
	m.log.Error("state of the cluster cannot be read", "err", err)
	m.mu.Lock()
	m.mu.failed = err
	close(m.mu.changed)
	m.mu.changed = make(chan struct{})
	m.mu.Unlock()
}

// setState shows a State and sends subscribers what is new.
func (m *Monitor) setState(st *State) {
	m.useDatabase(m.State(), st)
	m.mu.Lock()
	old := m.mu.state
	m.mu.state = st
	close(m.mu.changed)
	m.mu.changed = make(chan struct{})
	list := make([]*session, 0, len(m.mu.sessions))
	for s := range m.mu.sessions {
		list = append(list, s)
	}
	m.mu.Unlock()
	if string(old.Rotating) != string(st.Rotating) {
		if err := m.keys.Import(st.Rotating); err != nil {
			m.log.Error("rotating keys cannot be read", "err", err)
		}
	}
	if old.OSD.Epoch != st.OSD.Epoch {
		m.stats.forget(st.OSD)
	}
	for _, s := range list {
		if old.OSD.Epoch != st.OSD.Epoch && s.conn.Peer().ID.Type == ceph.TypeOSD && !s.has("osdmap") {
			m.sendMap(s, old.OSD.Epoch) // OSDs of Ceph's wait to be told
		}
		m.publish(s, st)
	}
}

// rotate makes the secrets of services that are due.
func (m *Monitor) rotate(ctx context.Context) error {
	if r := m.State().Rotating; r != nil {
		if err := m.keys.Import(r); err != nil {
			return fmt.Errorf("rotating keys: %w", err)
		}
	}
	changed, err := m.keys.Rotate()
	if err != nil || !changed {
		return err
	}
	_, err = m.change(ctx, func(c *Change) error {
		c.Put(keyRotating, m.keys.Export())
		return nil
	})
	return err
}

// keepTime does what time asks for.
func (m *Monitor) keepTime() {
	t := time.NewTicker(5 * time.Second)
	defer t.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-t.C:
		}
		m.tick()
	}
}

// tick does what is due.
func (m *Monitor) tick() {
	m.ticking.Lock()
	defer m.ticking.Unlock()
	for what, f := range map[string]func(context.Context) error{"keys are not rotated": m.rotate, "mutes are not ended": m.endMutes, "silent OSDs are not marked down": m.markSilent, "health is not logged": m.logHealth} {
		if err := f(m.ctx); err != nil && m.ctx.Err() == nil {
			m.log.Warn(what, "err", err)
		}
	}
}

// globalIDs are the numbers this monitor may give to sessions.
type globalIDs struct {
	mu         sync.Mutex
	next, last uint64
}

// fill takes another range from the quorum.
func (g *globalIDs) fill(ctx context.Context, m *Monitor) error {
	var from uint64
	_, err := m.change(ctx, func(c *Change) error {
		from = firstGlobalID
		kv, err := m.cfg.Quorum.Get(ctx, keyGlobalID)
		if err != nil {
			return err
		}
		if kv.Rev != 0 {
			if from, err = parseNumber(kv.Value); err != nil {
				return err
			}
		}
		c.Put(keyGlobalID, number(from+globalIDRange))
		return nil
	})
	if err != nil {
		return fmt.Errorf("global ids: %w", err)
	}
	g.mu.Lock()
	g.next, g.last = from, from+globalIDRange
	g.mu.Unlock()
	return nil
}

// newGlobalID numbers a session. It is called while a peer authenticates.
func (m *Monitor) newGlobalID() (uint64, error) {
	m.gids.mu.Lock()
	id, ok := m.gids.next, m.gids.next < m.gids.last
	m.gids.next++
	m.gids.mu.Unlock()
	if ok {
		return id, nil
	}
	if err := m.gids.fill(m.ctx, m); err != nil {
		return 0, err
	}
	return m.newGlobalID()
}
