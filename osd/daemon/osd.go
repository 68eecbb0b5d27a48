package daemon

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/monc"
	"ebofs/cluster/msg"
	"ebofs/cluster/msgr"
	"ebofs/cluster/osdmap"
	"ebofs/internal/asok"
	"ebofs/osd"
	"ebofs/osd/pg"
	"ebofs/osd/track"
)

// Config is what an OSD is made of.
type Config struct {
	ID       int32
	Store    osd.ObjectStore
	Addr     netip.AddrPort // port 0: any
	Monitors []ceph.AddrVec
	FSID     ceph.UUID      // of the cluster; zero: whichever the monitors are of
	Key      cephx.Key      // of osd.ID
	Methods  []cephx.Method // with which it logs in; default: cephx
	Modes    []cephx.Mode   // likewise; default: secure and crc
	// ServiceMethods and ServiceModes are what it offers those that come to it.
	// Default: Methods and Modes.
	ServiceMethods []cephx.Method
	ServiceModes   []cephx.Mode
	IdleTimeout    time.Duration // of connections; default: the messenger's
	// Host and Root are where it is in the CRUSH map; default: this host, "default".
	Host, Root string
	Stay       bool   // where it is in the CRUSH map, wherever that is
	Class      string // device class; default: none is set
	// Metadata is what the OSD says of itself beside what it knows: its devices.
	Metadata  map[string]string
	Transport msgr.Transport
	Log       *slog.Logger
	Now       func() time.Time
	// Commands are answered to `ceph tell` besides the OSD's own; nil: none.
	Commands func() []asok.Command
	// Configure is told what the monitors' database sets for this OSD; nil: nobody.
	Configure func(map[string]string)
	// Track says what is kept of requests.
	Track track.Options
	Scrub ScrubConfig
	// BlockAfter is for how long requests wait for a PG to be served before their
	// clients are told to keep them. Default 2 s.
	BlockAfter time.Duration
	// FailsafeRatio is how full the store may become before it takes nothing more that
	// makes it fuller, whatever the map says. Default 0.97 (osd_failsafe_full_ratio).
	FailsafeRatio float64
	// Reclaim has the store hand out the space of what was deleted, and is called while
	// the OSD is full; nil: that comes by itself.
	Reclaim func(context.Context) error
	// Report is how often statistics are sent. Default 2 s.
	Report time.Duration
}

// OSD is one object storage daemon.
type OSD struct {
	cfg   Config
	id    Owner
	msgr  *msgr.Messenger
	auth  *cephx.Client
	keys  *cephx.ServiceKeys
	mon   *monc.Client
	log   *slog.Logger
	ctx   context.Context
	stop  context.CancelFunc
	wg    sync.WaitGroup
	newer chan struct{} // a map has come, or orders

	turnedAway atomic.Pointer[error] // why the monitors refused a session
	damageSaid atomic.Int64          // when damage was last said, in seconds
	reclaiming atomic.Bool
	logLength  atomic.Int64 // of each PG's log
	known      atomic.Int64 // requests that each PG knows

	soon  chan struct{} // there is news to report
	trims chan struct{} // there may be snapshots to trim
	// removes: there are PGs to remove
	removes chan struct{}
	began   time.Time
	// stored is every PG of the store, with where it is if not here. Only the
	// goroutine that follows the maps uses it.
	stored map[ceph.PG]*away
	// unsplit is those that are to be split and could not be; likewise.
	unsplit  map[ceph.PG]bool
	resplit  atomic.Bool   // there are some
	benching atomic.Bool   // one bench at a time
	tells    chan struct{} // slots of commands
	// failsafe is set while the store is so full that nothing may grow.
	failsafe         atomic.Bool
	grown, grownMost atomic.Int64  // bytes written since it was measured; when it is measured again
	filled           chan struct{} // it is to be measured
	track            *track.Tracker
	count            counters
	scrubs           scrubs
	complain         complaints
	fetches          fetches

	mu struct {
		sync.Mutex
		m        *osdmap.Map
		placer   *osdmap.Placer
		queue    []*msg.OSDMap      // not yet applied
		places   map[ceph.PG]*place // that are here
		pgs      map[ceph.PG]*pg.PG // those of them that are served
		told     map[ceph.PG]*order // to be made
		created  map[ceph.PG]struct{}
		want     ceph.Epoch // up_thru that some PG waits for
		waiting  []*arrival // for a newer map
		up       bool
		stopping bool       // it does not boot again
		asked    ceph.Epoch // boot was sent with this map
		sessions map[*session]struct{}
		mgr      manager
		peers    map[int32]*peer // that are watched
		away     map[ceph.PG]*away
		doomed   []doomed
		reported uint64
		lines    []msg.LogEntry // of the cluster's log that no monitor has yet
		line     uint64
		backoff  uint64                // the last id of one
		incs     map[ceph.Epoch][]byte // the newest increments of the map
		failed   error
		changed  chan struct{}
	}
}

// New opens the store of an OSD. Start makes it one.
func New(ctx context.Context, cfg Config) (*OSD, error) {
	if cfg.Methods == nil {
		cfg.Methods = []cephx.Method{cephx.MethodCephX}
	}
	if cfg.Modes == nil {
		cfg.Modes = []cephx.Mode{cephx.ModeSecure, cephx.ModeCRC}
	}
	if cfg.ServiceMethods == nil {
		cfg.ServiceMethods = cfg.Methods
	}
	if cfg.ServiceModes == nil {
		cfg.ServiceModes = cfg.Modes
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Report == 0 {
		cfg.Report = 2 * time.Second
	}
	if cfg.Root == "" {
		cfg.Root = "default"
	}
	if cfg.Host == "" {
		cfg.Host, _ = os.Hostname()
	}
	cfg.Scrub.fill()
	cfg.FailsafeRatio = cmp.Or(cfg.FailsafeRatio, failsafeRatio)
	cfg.BlockAfter = cmp.Or(cfg.BlockAfter, blockAfter)
	if cfg.Track.Now == nil {
		cfg.Track.Now = cfg.Now
	}
	o := &OSD{cfg: cfg, log: cfg.Log, newer: make(chan struct{}, 1), soon: make(chan struct{}, 1), trims: make(chan struct{}, 1), filled: make(chan struct{}, 1), removes: make(chan struct{}, 1), began: time.Now(), tells: make(chan struct{}, tellsAtOnce), track: track.New(cfg.Track)}
	o.mu.pgs, o.mu.sessions, o.mu.changed = map[ceph.PG]*pg.PG{}, map[*session]struct{}{}, make(chan struct{})
	o.mu.places, o.mu.told, o.mu.created = map[ceph.PG]*place{}, map[ceph.PG]*order{}, map[ceph.PG]struct{}{}
	o.unsplit = map[ceph.PG]bool{}
	o.mu.incs = map[ceph.Epoch][]byte{}
	o.scrubs.kick, o.scrubs.ask = make(chan struct{}, 1), map[ceph.PG]scrubAsk{}
	o.fetches.wait = map[uint64]chan *msg.OSDOpReply{}
	o.mu.peers, o.mu.away = map[int32]*peer{}, map[ceph.PG]*away{}
	var err error
	if o.id, err = loadOwner(ctx, cfg.Store, cfg.ID, cfg.FSID); err != nil {
		return nil, err
	}
	if o.stored, o.mu.doomed, err = storedPGs(ctx, cfg.Store); err != nil {
		return nil, err
	}
	name := ceph.EntityName{Type: ceph.TypeOSD, ID: fmt.Sprint(cfg.ID)}
	o.auth, err = cephx.NewClient(cephx.ClientOptions{
		Name: name, Key: cfg.Key, Methods: cfg.Methods, MonModes: cfg.Modes, Modes: cfg.Modes,
		Services: uint32(ceph.TypeMon | ceph.TypeOSD | ceph.TypeMgr | ceph.TypeAuth), Now: cfg.Now, Rand: rand.Reader,
	})
	if err != nil {
		return nil, err
	}
	o.keys = &cephx.ServiceKeys{Service: ceph.TypeOSD}
	server := &cephx.Server{Service: ceph.TypeOSD, Methods: cfg.ServiceMethods, Modes: cfg.ServiceModes, Keys: o.keys, Now: cfg.Now, Rand: rand.Reader}
	var nonce [4]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, err
	}
	o.msgr, err = msgr.New(msgr.Options{
		Type: ceph.TypeOSD, GID: int64(cfg.ID), IdleTimeout: cfg.IdleTimeout, Nonce: uint32(nonce[0]) | uint32(nonce[1])<<8 | uint32(nonce[2])<<16 | 1,
		Dispatcher: (*dispatcher)(o), Transport: cfg.Transport, Log: cfg.Log,
		ClientAuth: func(to ceph.EntityType) (msgr.ClientAuth, error) { return o.auth.Handshake(to) },
		ServerAuth: func() msgr.ServerAuth { return server.Handshake() },
		Accept: func(from ceph.EntityType) msgr.Policy {
			if from == ceph.TypeOSD {
				return msgr.StatelessServer
			}
			return msgr.StatelessRegisteredServer
		},
	})
	if err != nil {
		return nil, err
	}
	if err := o.msgr.Bind(cfg.Addr); err != nil {
		return nil, fmt.Errorf("osd.%d: %w", cfg.ID, err)
	}
	o.mon = monc.New(monc.Options{Monitors: cfg.Monitors, Messenger: o.msgr, Auth: o.auth, Keys: o.keys, Log: cfg.Log, Now: cfg.Now, Configure: cfg.Configure})
	o.ctx, o.stop = context.WithCancel(context.Background())
	return o, nil
}

// Start logs in and boots. It returns when the OSD is up, or ctx ends.
func (o *OSD) Start(ctx context.Context) error {
	if err := o.msgr.Start(); err != nil {
		return err
	}
	o.mon.Start()
	o.wg.Go(o.follow)
	fsid, err := o.mon.FSID(ctx)
	if err != nil {
		return err
	}
	if want := o.cfg.FSID; !want.IsZero() && want != fsid {
		return fmt.Errorf("osd.%d: the monitors are of cluster %v, the configuration of cluster %v", o.cfg.ID, fsid, want)
	}
	if err := o.id.claim(ctx, o.cfg.Store, fsid); err != nil {
		return err
	}
	o.mon.Subscribe("osdmap", msg.Subscription{})
	o.mon.Subscribe("mgrmap", msg.Subscription{})
	o.mon.Subscribe("osd_pg_creates", msg.Subscription{})
	if err := o.introduce(ctx); err != nil {
		return err
	}
	o.wg.Go(o.keepTime)
	o.wg.Go(o.beat)
	o.wg.Go(o.trimSnaps)
	o.wg.Go(o.removeDeleted)
	o.wg.Go(o.scrubAll)
	return o.waitUp(ctx)
}

// waitUp waits until the map says that this OSD is up, and may serve what it has.
func (o *OSD) waitUp(ctx context.Context) error {
	for {
		o.mu.Lock()
		ready, failed, changed := o.mu.up && o.mu.want == 0, o.mu.failed, o.mu.changed
		o.mu.Unlock()
		switch {
		case failed != nil:
			return failed
		case ready:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("osd.%d: not marked up: %w", o.cfg.ID, ctx.Err())
		}
	}
}

// fail stops the OSD: its store takes no more.
func (o *OSD) fail(err error) {
	o.mu.Lock()
	first := o.mu.failed == nil
	if first {
		o.mu.failed = err
		o.signalLocked()
	}
	o.mu.Unlock()
	if first {
		o.log.Error("store has failed", "osd", o.cfg.ID, "err", err)
	}
}

func (o *OSD) signalLocked() {
	close(o.mu.changed)
	o.mu.changed = make(chan struct{})
}

// Failed returns a channel that is closed when something changes, and why the OSD
// has failed, if it has.
func (o *OSD) Failed() (<-chan struct{}, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.mu.changed, o.mu.failed
}

// Addrs returns where the OSD is reached.
func (o *OSD) Addrs() ceph.AddrVec { return o.msgr.Addrs() }

// Close says goodbye to the monitors, ends all sessions and closes the PGs. The
// store stays open.
func (o *OSD) Close() {
	o.mu.Lock()
	m, up := o.mu.m, o.mu.up
	o.mu.stopping = true
	o.mu.Unlock()
	if up {
		_ = o.mon.Send(&msg.OSDMarkMeDown{
			Paxos: msg.NewPaxos(uint64(m.Epoch)), FSID: m.FSID, Target: o.cfg.ID, Addrs: o.msgr.Addrs(), Epoch: m.Epoch, RequestAck: true, Dead: true,
		})
		o.waitDown(2 * time.Second)
	}
	o.stop()
	o.mon.Close()
	o.msgr.Shutdown()
	o.wg.Wait()
	o.mu.Lock()
	list := o.mu.places
	o.mu.places, o.mu.pgs = nil, nil
	o.mu.Unlock()
	for _, p := range list {
		if p.pg != nil {
			p.pg.Close()
		}
	}
}

// waitDown waits until the map says that the OSD is down, but not for ever.
func (o *OSD) waitDown(most time.Duration) {
	t := time.NewTimer(most)
	defer t.Stop()
	for {
		o.mu.Lock()
		up, changed := o.mu.up, o.mu.changed
		o.mu.Unlock()
		if !up {
			return
		}
		select {
		case <-changed:
		case <-t.C:
			return
		}
	}
}
