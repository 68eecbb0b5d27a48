package cephx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

// Server is the accepting side of an entity: which methods and modes it allows
// and how it checks proofs. It must not change once it is used.
type Server struct {
	// Service is what this entity is: authorizers must be for it.
	Service ceph.EntityType
	// Methods and Modes that are allowed. Secure needs cephx: without a key there is
	// nothing to encrypt with.
	Methods []Method
	Modes   []Mode
	// Keys opens tickets for Service.
	Keys TicketKeys
	// Login is set in monitors, to which entities come without a ticket.
	Login *Login
	// Admit, if set, has the last word about an identity; a daemon parses caps here.
	// Its error refuses the connection as a wrong key does, and is only logged.
	Admit func(Identity) error

	Now  func() time.Time
	Rand io.Reader
}

// Entity is what a monitor knows of an entity.
type Entity struct {
	Key  Key
	Caps map[ceph.EntityType]string // by service
}

// Entities is a monitor's table of entities.
type Entities interface {
	Entity(ceph.EntityName) (Entity, bool)
}

// Login is what a monitor needs to let entities in.
type Login struct {
	Entities Entities
	Servers  *KeyServer
	// NewGlobalID numbers a session; Ceph's begin at 4096.
	NewGlobalID func() (uint64, error)
	// InsecureReclaim lets a client keep a global id without the ticket for it, as
	// clients before 2021 need.
	InsecureReclaim bool
}

// Handshake starts the authentication of one connection.
func (s *Server) Handshake() *ServerHandshake { return &ServerHandshake{s: s} }

// ServerHandshake is the accepting side of one authentication.
type ServerHandshake struct {
	s      *Server
	mode   Mode
	expect func(payload []byte) (Step, error) // of the next answer; nil: none is due
}

// refuse returns what the peer is told; why is for the log.
func (h *ServerHandshake) refuse(m Method, result ceph.Errno, format string, args ...any) error {
	h.expect = nil
	return &Refusal{Method: m, Result: result, Methods: h.s.Methods, Modes: h.s.Modes, Reason: fmt.Sprintf(format, args...)}
}

// Request is called with the content of an AUTH_REQUEST.
func (h *ServerHandshake) Request(m Method, modes []Mode, payload []byte) (Step, error) {
	h.expect = nil
	if !slices.Contains(h.s.Methods, m) {
		return Step{}, h.refuse(m, ceph.EOPNOTSUPP, "method is not allowed")
	}
	h.mode = 0
	for _, mode := range modes {
		if slices.Contains(h.s.Modes, mode) && (mode == ModeCRC || mode == ModeSecure && m == MethodCephX) {
			h.mode = mode
			break
		}
	}
	if h.mode == 0 {
		return Step{}, h.refuse(m, ceph.EOPNOTSUPP, "no mode of %v is allowed", modes)
	}
	if len(payload) == 0 {
		return Step{}, errors.New("authentication request is empty")
	}
	switch kind := payload[0]; {
	case kind == kindLogin && h.s.Login != nil:
		return h.login(m, payload)
	case kind == kindAuthorizer && m == MethodNone:
		return h.claim(payload)
	case kind == kindAuthorizer && h.s.Keys != nil:
		return h.authorize(payload)
	}
	return Step{}, h.refuse(m, ceph.EACCES, "request of kind %d", payload[0])
}

// More is called with the content of an AUTH_REQUEST_MORE.
func (h *ServerHandshake) More(payload []byte) (Step, error) {
	expect := h.expect
	h.expect = nil // a challenge serves once (I2)
	if expect == nil {
		return Step{}, errors.New("answer to no challenge")
	}
	return expect(payload)
}

// done ends the handshake, if the identity is admitted.
func (h *ServerHandshake) done(d *Session, reply []byte) (Step, error) {
	if h.s.Admit != nil {
		if err := h.s.Admit(d.Identity); err != nil {
			return Step{}, h.refuse(d.Method, ceph.EACCES, "%v: %v", d.Name, err)
		}
	}
	return Step{Reply: reply, Done: d}, nil
}

// claim takes the word of a peer of a service under MethodNone.
func (h *ServerHandshake) claim(payload []byte) (Step, error) {
	d := denc.NewDecoder(payload)
	version(d, "authorizer", kindAuthorizer, kindAuthorizer)
	id := Identity{Name: ceph.DecodeEntityName(d), GlobalID: d.U64(), AllowAll: true}
	if err := d.Finish(); err != nil {
		return Step{}, fmt.Errorf("authorizer: %w", err)
	}
	return h.done(&Session{Method: MethodNone, Mode: ModeCRC, Identity: id}, nil)
}

// challenge draws a number that is not zero.
func (s *Server) challenge() (uint64, error) {
	for {
		var p [8]byte
		if _, err := io.ReadFull(s.Rand, p[:]); err != nil {
			return 0, err
		}
		if v := binary.LittleEndian.Uint64(p[:]); v != 0 {
			return v, nil
		}
	}
}

// connectionSecret draws what secure mode encrypts with; nothing in crc mode.
func (h *ServerHandshake) connectionSecret() (Secret, error) {
	if h.mode != ModeSecure {
		return nil, nil
	}
	p := make(Secret, connectionSecretBytes)
	_, err := io.ReadFull(h.s.Rand, p)
	return p, err
}

const connectionSecretBytes = 64

// authorize checks an authorizer and challenges its sender.
func (h *ServerHandshake) authorize(payload []byte) (Step, error) {
	s := h.s
	d := denc.NewDecoder(payload)
	first := takeAuthorizer(d)
	if err := d.Finish(); err != nil {
		return Step{}, h.refuse(MethodCephX, ceph.EACCES, "authorizer: %v", err)
	}
	t, p, err := first.verify(s.Keys, s.Service, s.Now())
	switch {
	case err != nil:
		return Step{}, h.refuse(MethodCephX, ceph.EACCES, "%v", err)
	case p.Answers || p.Challenge != 0:
		return Step{}, h.refuse(MethodCephX, ceph.EACCES, "authorizer of %v answers a challenge that was not made", t.Name)
	}
	challenge, err := s.challenge()
	if err != nil {
		return Step{}, err
	}
	h.expect = func(payload []byte) (Step, error) {
		d := denc.NewDecoder(payload)
		second := takeAuthorizer(d)
		if err := d.Finish(); err != nil {
			return Step{}, h.refuse(MethodCephX, ceph.EACCES, "authorizer: %v", err)
		}
		t, q, err := second.verify(s.Keys, s.Service, s.Now())
		switch {
		case err != nil:
			return Step{}, h.refuse(MethodCephX, ceph.EACCES, "%v", err)
		case !q.Answers || !sameU64(q.Challenge, challenge+1):
			return Step{}, h.refuse(MethodCephX, ceph.EACCES, "authorizer of %v does not answer the challenge", t.Name)
		case !sameU64(q.Nonce, p.Nonce) || !second.Ticket.equal(first.Ticket):
			return Step{}, h.refuse(MethodCephX, ceph.EACCES, "authorizer of %v is another than before", t.Name)
		}
		secret, err := h.connectionSecret()
		if err != nil {
			return Step{}, err
		}
		var e denc.Encoder
		putAuthorizeReply(&e, t.Session, q.Nonce, secret)
		id := Identity{Name: t.Name, GlobalID: t.GlobalID, Caps: t.Caps, AllowAll: t.AllowAll}
		return h.done(&Session{Method: MethodCephX, Mode: h.mode, Identity: id, Key: t.Session.Secret, Secret: secret}, e.Bytes())
	}
	return Step{Reply: t.Session.seal(func(e *denc.Encoder) {
		e.U8(1)
		e.U64(challenge)
	})}, nil
}

// putAuthorizeReply appends a service's last word.
func putAuthorizeReply(e *denc.Encoder, session Key, nonce uint64, secret Secret) {
	session.putSealed(e, func(e *denc.Encoder) {
		if len(secret) == 0 {
			e.U8(1)
			e.U64(nonce + 1)
			return
		}
		e.U8(2)
		e.U64(nonce + 1)
		e.Blob(secret)
	})
}
