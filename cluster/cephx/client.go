package cephx

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

// Client is the dialling side of an entity: who it is, and the tickets it holds.
type Client struct {
	o ClientOptions

	mu struct {
		sync.Mutex
		globalID uint64
		auth     *held
		tickets  map[ceph.EntityType]*held
	}
}

// held is a ticket with the time until which it may be used.
type held struct {
	grant
	renew, expires time.Time
}

// ClientOptions says who a Client is.
type ClientOptions struct {
	Name ceph.EntityName
	Key  Key // not needed without MethodCephX
	// Methods in the order they are tried.
	Methods []Method
	// MonModes are the modes wanted for connections to monitors and managers, best
	// first, and Modes those for others. Under MethodNone only crc is asked for.
	MonModes, Modes []Mode
	// Services is for which tickets are wanted: a mask of entity types.
	Services uint32
	Now      func() time.Time
	Rand     io.Reader
}

// ServicesDefault is what clients and OSDs ask for: monitor, OSD, manager, and the
// ticket for more.
const ServicesDefault = uint32(ceph.TypeMon) | uint32(ceph.TypeOSD) | uint32(ceph.TypeMgr) | uint32(ceph.TypeAuth)

// NewClient returns a client without tickets.
func NewClient(o ClientOptions) (*Client, error) {
	switch {
	case len(o.Methods) == 0:
		return nil, errors.New("cephx: no method")
	case slices.Contains(o.Methods, MethodCephX) && o.Key.IsZero():
		return nil, fmt.Errorf("cephx: no key for %v", o.Name)
	}
	c := &Client{o: o}
	c.mu.tickets = map[ceph.EntityType]*held{}
	return c, nil
}

// Uses reports whether a method is among those that are tried.
func (c *Client) Uses(m Method) bool { return slices.Contains(c.o.Methods, m) }

// GlobalID returns the number a monitor gave this entity, or 0.
func (c *Client) GlobalID() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.globalID
}

// keep stores tickets.
func (c *Client) keep(gid uint64, grants []grant) {
	now := c.o.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if gid != 0 {
		c.mu.globalID = gid
	}
	for _, g := range grants {
		h := &held{g, now.Add(g.Validity - g.Validity/4), now.Add(g.Validity)}
		if g.Service == ceph.TypeAuth {
			c.mu.auth = h
		} else {
			c.mu.tickets[g.Service] = h
		}
	}
}

// Handshake starts the authentication of a connection to an entity of a type.
func (c *Client) Handshake(to ceph.EntityType) (*ClientHandshake, error) {
	return &ClientHandshake{c: c, to: to, left: slices.Clone(c.o.Methods)}, nil
}

// ClientHandshake is the dialling side of one authentication.
type ClientHandshake struct {
	c    *Client
	to   ceph.EntityType
	left []Method // the first is being tried
	step int      // answers that were given

	proof proof
	held  *held
	gid   uint64
	old   *held // the ticket shown to keep a global id
}

// errTicket is returned when a service is dialled without a ticket for it.
var errTicket = errors.New("no ticket: log in to a monitor first")

// Request returns the next method with its modes and payload.
func (h *ClientHandshake) Request() (Method, []Mode, []byte, error) {
	c, o := h.c, &h.c.o
	m := h.left[0]
	h.step = 0
	modes := o.Modes
	if h.to == ceph.TypeMon || h.to == ceph.TypeMgr {
		modes = o.MonModes
	}
	if m == MethodNone {
		modes = []Mode{ModeCRC}
	}
	c.mu.Lock()
	h.gid, h.old, h.held = c.mu.globalID, c.mu.auth, c.mu.tickets[h.to]
	c.mu.Unlock()
	if h.old != nil && o.Now().After(h.old.expires) { // proves nothing any more: a new number
		h.gid, h.old = 0, nil
	}
	var e denc.Encoder
	switch {
	case h.to == ceph.TypeMon:
		e.U8(kindLogin)
		o.Name.Encode(&e)
		e.U64(h.gid)
	case m == MethodNone:
		e.U8(kindAuthorizer)
		o.Name.Encode(&e)
		e.U64(h.gid)
	default:
		if h.held == nil || o.Now().After(h.held.expires) {
			return 0, nil, nil, fmt.Errorf("%v to %v: %w", o.Name, h.to, errTicket)
		}
		nonce, err := randomU64(o.Rand)
		if err != nil {
			return 0, nil, nil, err
		}
		h.proof = proof{Nonce: nonce}
		putAuthorizer(&e, h.gid, &h.held.grant, h.proof)
	}
	return m, modes, e.Bytes(), nil
}

// Refused goes on to the next method that both sides allow, or returns r.
func (h *ClientHandshake) Refused(r *Refusal) error {
	h.left = h.left[1:]
	for len(h.left) > 0 && !slices.Contains(r.Methods, h.left[0]) {
		h.left = h.left[1:]
	}
	if len(h.left) == 0 {
		return r
	}
	return nil
}

// More answers a server's challenge.
func (h *ClientHandshake) More(payload []byte) ([]byte, error) {
	if h.step++; h.step > 1 || h.left[0] != MethodCephX {
		return nil, errors.New("challenge that is not due")
	}
	o := &h.c.o
	var e denc.Encoder
	var challenge uint64
	take := func(d *denc.Decoder) {
		version(d, "challenge", 1, 1)
		challenge = d.U64()
	}
	if h.to != ceph.TypeMon {
		if err := h.held.Session.take(payload, take); err != nil {
			return nil, fmt.Errorf("challenge: %w", err)
		}
		h.proof.Answers, h.proof.Challenge = true, challenge+1
		putAuthorizer(&e, h.gid, &h.held.grant, h.proof)
		return e.Bytes(), nil
	}
	d := denc.NewDecoder(payload)
	if take(d); d.Finish() != nil {
		return nil, fmt.Errorf("challenge: %w", d.Err())
	}
	own, err := randomU64(o.Rand)
	if err != nil {
		return nil, err
	}
	r := loginRequest{Challenge: own, Proof: loginProof(o.Key, challenge, own), Services: o.Services}
	if h.gid != 0 && h.old != nil {
		r.Old = h.old.Ticket
	}
	r.encode(&e)
	return e.Bytes(), nil
}

// Done checks the server's last word and keeps the tickets in it.
func (h *ClientHandshake) Done(gid uint64, mode Mode, payload []byte) (*Session, error) {
	c, o, m := h.c, &h.c.o, h.left[0]
	s := &Session{Method: m, Mode: mode, Identity: Identity{Name: o.Name, GlobalID: gid}}
	modes := o.Modes
	if h.to == ceph.TypeMon || h.to == ceph.TypeMgr {
		modes = o.MonModes
	}
	switch {
	case m == MethodNone:
		if mode != ModeCRC || len(payload) != 0 {
			return nil, errors.New("end of an authentication by none with something in it")
		}
		if h.to == ceph.TypeMon {
			c.keep(gid, nil)
		}
		return s, nil
	case !slices.Contains(modes, mode):
		return nil, fmt.Errorf("server takes %v, of which no offer was made", mode)
	case h.step != 1:
		return nil, errors.New("end of an authentication without a challenge")
	}
	var err error
	if h.to == ceph.TypeMon {
		err = h.loggedIn(s, payload)
	} else {
		err = h.authorized(s, payload)
	}
	if err == nil && (mode == ModeSecure) != (len(s.Secret) == connectionSecretBytes) {
		err = fmt.Errorf("connection secret of %d bytes in mode %v", len(s.Secret), mode)
	}
	return s, err
}

func (h *ClientHandshake) loggedIn(s *Session, payload []byte) error {
	d := denc.NewDecoder(payload)
	req, result := d.U16(), ceph.Errno(d.I32())
	switch {
	case d.Err() != nil || req != reqAuthKey:
		return fmt.Errorf("login: reply to request %#x", req)
	case result != 0:
		return fmt.Errorf("login: %w", result)
	}
	var old *Key
	if h.old != nil {
		old = &h.old.Session
	}
	grants, err := takeTickets(d, h.c.o.Key, old)
	if err != nil {
		return fmt.Errorf("login: %w", err)
	}
	if len(grants) != 1 || grants[0].Service != ceph.TypeAuth {
		return errors.New("login: reply without exactly the ticket for auth")
	}
	session := grants[0].Session
	in := denc.NewDecoder(d.Bytes())
	err = session.takeSealed(in, func(d *denc.Decoder) { s.Secret = slices.Clone(d.Bytes()) })
	if err = errors.Join(err, in.Finish()); err != nil {
		return fmt.Errorf("login: connection secret: %w", err)
	}
	if more := d.Bytes(); len(more) > 0 {
		in := denc.NewDecoder(more)
		extra, err := takeTickets(in, session, nil)
		if err = errors.Join(err, in.Finish()); err != nil {
			return fmt.Errorf("login: %w", err)
		}
		grants = append(grants, extra...)
	}
	if err := d.Finish(); err != nil {
		return fmt.Errorf("login: %w", err)
	}
	s.Key = session.Secret
	h.c.keep(s.GlobalID, grants)
	return nil
}

func (h *ClientHandshake) authorized(s *Session, payload []byte) error {
	d := denc.NewDecoder(payload)
	var nonce uint64
	err := h.held.Session.takeSealed(d, func(d *denc.Decoder) {
		v := version(d, "authorizer reply", 1, 2)
		nonce = d.U64()
		if v == 2 {
			s.Secret = slices.Clone(d.Bytes())
		}
	})
	if err = errors.Join(err, d.Finish()); err != nil {
		return fmt.Errorf("authorizer reply: %w", err)
	}
	if !sameU64(nonce, h.proof.Nonce+1) {
		return errors.New("authorizer reply: wrong nonce")
	}
	s.Key = h.held.Session.Secret
	return nil
}

// LoginAt returns when it is time to log in to a monitor again, for the ticket by
// which others are renewed is not renewed itself; zero: there is none.
func (c *Client) LoginAt() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.auth == nil {
		return time.Time{}
	}
	return c.mu.auth.renew
}

// RenewAt returns when Renew is due: when a quarter of the least validity is left.
func (c *Client) RenewAt() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	var at time.Time
	for _, h := range c.mu.tickets {
		if at.IsZero() || h.renew.Before(at) {
			at = h.renew
		}
	}
	return at
}

// Renew returns the payload of an MAuth that asks for new tickets.
func (c *Client) Renew() ([]byte, error) {
	nonce, err := randomU64(c.o.Rand)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.auth == nil {
		return nil, errTicket
	}
	var e denc.Encoder
	e.U16(reqTickets)
	putAuthorizer(&e, c.mu.globalID, &c.mu.auth.grant, proof{Nonce: nonce})
	e.U8(1)
	e.U32(c.o.Services &^ uint32(ceph.TypeAuth))
	return e.Bytes(), nil
}

// AskRotating returns the payload of an MAuth that asks for the secrets of a
// daemon's own service.
func AskRotating() []byte {
	var e denc.Encoder
	e.U16(reqRotating)
	return e.Bytes()
}

// Reply takes the blob of an MAuthReply to Renew or AskRotating; the latter
// returns the secrets.
func (c *Client) Reply(payload []byte) (RotatingKeys, error) {
	d := denc.NewDecoder(payload)
	req, result := d.U16(), ceph.Errno(d.I32())
	if d.Err() == nil && result != 0 {
		return nil, fmt.Errorf("auth request %#x: %w", req, result)
	}
	switch req {
	case reqTickets:
		c.mu.Lock()
		auth := c.mu.auth
		c.mu.Unlock()
		if auth == nil {
			return nil, errTicket
		}
		grants, err := takeTickets(d, auth.Session, nil)
		if err = errors.Join(err, d.Finish()); err != nil {
			return nil, fmt.Errorf("tickets: %w", err)
		}
		c.keep(0, grants)
		return nil, nil
	case reqRotating:
		var keys RotatingKeys
		err := c.o.Key.takeSealed(d, func(d *denc.Decoder) { keys = DecodeRotatingKeys(d) })
		if err = errors.Join(err, d.Finish()); err != nil {
			return nil, fmt.Errorf("rotating secrets: %w", err)
		}
		return keys, nil
	}
	return nil, fmt.Errorf("reply to auth request %#x", req)
}
