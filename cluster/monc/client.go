package monc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/monmap"
	"ebofs/cluster/msg"
	"ebofs/cluster/msgr"
)

// Options say who is to speak with which monitors.
type Options struct {
	Monitors []ceph.AddrVec
	// Messenger opens the sessions; its dispatcher hands what concerns monitors to
	// the Client: see Client.Handle and Client.Reset.
	Messenger *msgr.Messenger
	Auth      *cephx.Client
	// Keys are a daemon's rotating keys, kept fresh; nil: none are wanted.
	Keys *cephx.ServiceKeys
	// Configure is told what the central database sets for this entity, at first and
	// whenever that changes; nil: nobody wants to know.
	Configure func(map[string]string)
	Log       *slog.Logger
	Now       func() time.Time
}

const (
	// After every monitor has been tried once in vain the pauses between tries grow
	// from the first to the last of these; each is up to half longer, so that the
	// clients of a monitor that comes back do not come all at once.
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
	hunt       = 3 * time.Second  // until the next monitor is tried
	renewEvery = 10 * time.Second // how often it is looked whether keys or tickets are due
)

// Client is a session with the monitors.
type Client struct {
	o    Options
	ctx  context.Context
	stop context.CancelFunc
	wg   sync.WaitGroup
	kick chan struct{}

	mu struct {
		sync.Mutex
		conn    *msgr.Conn
		ready   bool // the monitor has answered
		next    int  // which monitor comes next
		failed  int  // tries in a row that no monitor answered
		subs    map[string]msg.Subscription
		pending map[uint64]*pending
		tid     uint64
		fsid    ceph.UUID
		monmap  *monmap.Map
		changed chan struct{} // closed when ready or monmap changes
	}
}

// pending is a command that has not been answered.
type pending struct {
	m    *msg.MonCommand
	done chan *msg.MonCommandAck
}

// New returns a client; Start begins.
func New(o Options) *Client {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Client{o: o, kick: make(chan struct{}, 1)}
	c.mu.subs, c.mu.pending = map[string]msg.Subscription{}, map[uint64]*pending{}
	c.mu.changed = make(chan struct{})
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.mu.subs["monmap"] = msg.Subscription{}
	c.mu.subs["config"] = msg.Subscription{}
	return c
}

// Start opens the session. The messenger has been started.
func (c *Client) Start() {
	c.wg.Go(c.keep)
}

// Close ends the session.
func (c *Client) Close() {
	c.stop()
	c.wg.Wait()
	c.mu.Lock()
	conn := c.mu.conn
	c.mu.Unlock()
	if conn != nil {
		conn.MarkDown()
	}
}

// keep dials monitors in turn until one answers, and asks for keys.
func (c *Client) keep() {
	c.dial()
	t := time.NewTicker(hunt)
	defer t.Stop()
	renewed := c.o.Now()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-c.kick:
			if c.rest() {
				c.dial()
			}
		case <-t.C:
			c.mu.Lock()
			ready := c.mu.ready
			c.mu.Unlock()
			if !ready {
				c.dial()
			} else if c.o.Now().Sub(renewed) >= renewEvery {
				renewed = c.o.Now()
				c.renew()
			}
		}
	}
}

// monitorsLocked returns where monitors are: those we were told of, then what else
// their map says.
func (c *Client) monitorsLocked() []ceph.AddrVec {
	list := slices.Clone(c.o.Monitors)
	if c.mu.monmap == nil {
		return list
	}
	for r := range c.mu.monmap.Ranks {
		at := c.mu.monmap.At(r).Addrs
		if !slices.ContainsFunc(list, func(v ceph.AddrVec) bool { return v.Msgr2().IP == at.Msgr2().IP }) {
			list = append(list, at)
		}
	}
	return list
}

// pause is how long to wait after so many tries in vain, of so many monitors.
func pause(failed, monitors int) time.Duration {
	n := failed - monitors
	if n < 0 {
		return 0
	}
	d := min(firstPause<<min(n, 10), lastPause)
	return d + rand.N(d/2)
}

// rest waits before the next try; false: the client is closed.
func (c *Client) rest() bool {
	c.mu.Lock()
	d := pause(c.mu.failed, len(c.monitorsLocked()))
	c.mu.Unlock()
	if d == 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}

// dial opens a session with the next monitor.
func (c *Client) dial() {
	c.mu.Lock()
	old := c.mu.conn
	all := c.monitorsLocked()
	addr := all[c.mu.next%len(all)]
	c.mu.next++
	c.mu.failed++ // until it answers
	c.mu.ready, c.mu.conn = false, nil
	c.mu.Unlock()
	if old != nil {
		old.MarkDown()
	}
	conn, err := c.o.Messenger.Connect(addr, ceph.TypeMon, msgr.LossyClient)
	if err != nil {
		c.o.Log.Warn("monitor is not reached", "addr", addr, "err", err)
		return
	}
	c.mu.Lock()
	c.mu.conn = conn
	subs := maps.Clone(c.mu.subs)
	again := maps.Clone(c.mu.pending)
	c.mu.Unlock()
	c.send(conn, &msg.MonGetMap{}, 0)
	c.send(conn, &msg.MonSubscribe{What: subs}, 0)
	if c.o.Keys != nil && c.cephx() {
		c.send(conn, &msg.Auth{Paxos: msg.NewPaxos(0), Protocol: uint32(cephx.MethodCephX), Payload: cephx.AskRotating()}, 0)
	}
	for tid, p := range again {
		c.send(conn, p.m, tid)
	}
}

// cephx reports whether there are keys at all.
func (c *Client) cephx() bool {
	return c.o.Auth != nil && c.o.Keys != nil && c.o.Auth.Uses(cephx.MethodCephX)
}

func (c *Client) send(conn *msgr.Conn, p msg.Payload, tid uint64) {
	m := msg.Pack(p)
	m.TID = tid
	_ = conn.Send(m) // a session that is gone is opened again
}

// renew asks for what is about to expire.
func (c *Client) renew() {
	c.mu.Lock()
	conn := c.mu.conn
	c.mu.Unlock()
	if conn == nil || !c.cephx() {
		return
	}
	if at := c.o.Auth.LoginAt(); !at.IsZero() && c.o.Now().After(at) {
		c.dial()
		return
	}
	if c.o.Keys.Stale(c.o.Now()) {
		c.send(conn, &msg.Auth{Paxos: msg.NewPaxos(0), Protocol: uint32(cephx.MethodCephX), Payload: cephx.AskRotating()}, 0)
	}
	if at := c.o.Auth.RenewAt(); !at.IsZero() && c.o.Now().After(at) {
		if p, err := c.o.Auth.Renew(); err == nil {
			c.send(conn, &msg.Auth{Paxos: msg.NewPaxos(0), Protocol: uint32(cephx.MethodCephX), Payload: p}, 0)
		}
	}
}

// Owns reports whether conn is the session.
func (c *Client) Owns(conn *msgr.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return conn == c.mu.conn
}

// Reset is told that a session is over or could not be opened. It returns false if
// it was not this client's.
func (c *Client) Reset(conn *msgr.Conn) bool {
	c.mu.Lock()
	own := conn == c.mu.conn
	if own {
		c.mu.ready = false
	}
	c.mu.Unlock()
	if own {
		select {
		case c.kick <- struct{}{}:
		default:
		}
	}
	return own
}

// Handle takes a message of the session, and returns false if it is for others:
// maps and whatever else was subscribed to.
func (c *Client) Handle(p msg.Payload) bool {
	switch p := p.(type) {
	case *msg.MonMap:
		m, err := monmap.Parse(p.Map)
		if err != nil {
			c.o.Log.Warn("map of the monitors is malformed", "err", err)
			return true
		}
		c.mu.Lock()
		c.mu.monmap, c.mu.fsid, c.mu.ready, c.mu.failed = m, m.FSID, true, 0
		close(c.mu.changed)
		c.mu.changed = make(chan struct{})
		c.mu.Unlock()
	case *msg.Config:
		if c.o.Configure != nil {
			c.o.Configure(p.Values)
		}
	case *msg.AuthReply:
		if p.Result < 0 {
			c.o.Log.Warn("monitor refuses keys", "result", ceph.Errno(p.Result))
			return true
		}
		keys, err := c.o.Auth.Reply(p.Payload)
		if err != nil {
			c.o.Log.Warn("reply of authentication", "err", err)
		} else if keys != nil && c.o.Keys != nil {
			c.o.Keys.Set(keys)
		}
	default:
		return false
	}
	return true
}

// Answer takes the answer to a command by its tid.
func (c *Client) Answer(tid uint64, a *msg.MonCommandAck) {
	c.mu.Lock()
	p := c.mu.pending[tid]
	delete(c.mu.pending, tid)
	c.mu.Unlock()
	if p != nil {
		p.done <- a
	}
}

// FSID waits for the cluster's id.
func (c *Client) FSID(ctx context.Context) (ceph.UUID, error) {
	for {
		c.mu.Lock()
		m, changed := c.mu.monmap, c.mu.changed
		c.mu.Unlock()
		if m != nil {
			return m.FSID, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ceph.UUID{}, fmt.Errorf("no monitor of %v answers: %w", c.o.Monitors, ctx.Err())
		}
	}
}

// Subscribe asks for a map, from now on and over resets.
func (c *Client) Subscribe(what string, s msg.Subscription) {
	c.mu.Lock()
	c.mu.subs[what] = s
	conn := c.mu.conn
	c.mu.Unlock()
	if conn != nil {
		c.send(conn, &msg.MonSubscribe{What: map[string]msg.Subscription{what: s}}, 0)
	}
}

// Got notes which version of a map has come, so that a new session goes on there.
func (c *Client) Got(what string, version uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok := c.mu.subs[what]; ok {
		s.Start = version + 1
		c.mu.subs[what] = s
	}
}

// Send sends a message on the session, if there is one.
func (c *Client) Send(p msg.Payload) error {
	c.mu.Lock()
	conn := c.mu.conn
	c.mu.Unlock()
	if conn == nil {
		return errors.New("no session with a monitor")
	}
	return conn.Send(msg.Pack(p))
}

// Command runs a command: its prefix and arguments.
func (c *Client) Command(ctx context.Context, args map[string]any) (*msg.MonCommandAck, error) {
	return c.CommandWith(ctx, args, nil)
}

// CommandWith runs a command that reads input.
func (c *Client) CommandWith(ctx context.Context, args map[string]any, input []byte) (*msg.MonCommandAck, error) {
	fsid, err := c.FSID(ctx)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.mu.tid++
	tid := c.mu.tid
	m := &msg.MonCommand{Paxos: msg.NewPaxos(0), Request: msg.Request{FSID: fsid, Words: []string{string(text)}, Input: input}}
	p := &pending{m: m, done: make(chan *msg.MonCommandAck, 1)}
	c.mu.pending[tid] = p
	conn := c.mu.conn
	c.mu.Unlock()
	if conn != nil {
		c.send(conn, m, tid)
	}
	select {
	case a := <-p.done:
		return a, nil
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.mu.pending, tid)
		c.mu.Unlock()
		return nil, fmt.Errorf("command %v: %w", args["prefix"], ctx.Err())
	}
}
