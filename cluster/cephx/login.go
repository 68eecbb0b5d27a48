package cephx

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

// Requests of cephx on a session or in a login.
const (
	reqAuthKey  uint16 = 0x0100 // log in
	reqTickets  uint16 = 0x0200 // tickets for services, with the auth ticket
	reqRotating uint16 = 0x0400 // a daemon's rotating secrets
)

// login starts the login of an entity to a monitor.
func (h *ServerHandshake) login(m Method, payload []byte) (Step, error) {
	d := denc.NewDecoder(payload)
	version(d, "login", kindLogin, kindLogin)
	name, gid := ceph.DecodeEntityName(d), d.U64()
	if err := d.Finish(); err != nil {
		return Step{}, fmt.Errorf("login: %w", err)
	}
	l := h.s.Login
	if m == MethodNone {
		var err error
		if gid == 0 {
			if gid, err = l.NewGlobalID(); err != nil {
				return Step{}, err
			}
		}
		id := Identity{Name: name, GlobalID: gid, AllowAll: true}
		return h.done(&Session{Method: m, Mode: ModeCRC, Identity: id}, nil)
	}
	challenge, err := h.s.challenge()
	if err != nil {
		return Step{}, err
	}
	h.expect = func(payload []byte) (Step, error) { return h.prove(name, gid, challenge, payload) }
	var e denc.Encoder
	e.U8(1)
	e.U64(challenge)
	return Step{Reply: e.Bytes()}, nil
}

// loginRequest is an entity's answer to the monitor's challenge.
type loginRequest struct {
	Challenge uint64 // the client's
	Proof     uint64
	Old       ticketBlob
	Services  uint32 // of which tickets are wanted: a mask of entity types
}

func (r *loginRequest) encode(e *denc.Encoder) {
	e.U16(reqAuthKey)
	e.U8(3)
	e.U64(r.Challenge)
	e.U64(r.Proof)
	r.Old.encode(e)
	e.U32(r.Services)
}

func (r *loginRequest) decode(d *denc.Decoder) {
	if req := d.U16(); req != reqAuthKey {
		d.Failf("request %#x, want %#x", req, reqAuthKey)
	}
	version(d, "login", 3, 3)
	r.Challenge, r.Proof = d.U64(), d.U64()
	r.Old, r.Services = decodeTicketBlob(d), d.U32()
}

// prove checks an entity's answer and gives it tickets.
func (h *ServerHandshake) prove(name ceph.EntityName, gid, challenge uint64, payload []byte) (Step, error) {
	l := h.s.Login
	var r loginRequest
	d := denc.NewDecoder(payload)
	r.decode(d)
	if err := d.Finish(); err != nil {
		return Step{}, h.refuse(MethodCephX, ceph.EACCES, "login of %v: %v", name, err)
	}
	entity, known := l.Entities.Entity(name)
	if !known {
		// As much work as for one that is known, and the same answer.
		entity.Key = Key{Type: KeyAES, Secret: make(Secret, aesBytes)}
	}
	if !sameU64(loginProof(entity.Key, challenge, r.Challenge), r.Proof) || !known {
		return Step{}, h.refuse(MethodCephX, ceph.EACCES, "login of %v: unknown entity or wrong key", name)
	}
	var old *Key
	if gid != 0 {
		t, err := l.oldTicket(r.Old, name, gid, h.s.Now())
		switch {
		case err == nil:
			old = &t.Session
		case !l.InsecureReclaim:
			return Step{}, h.refuse(MethodCephX, ceph.EACCES, "login of %v as %d: %v", name, gid, err)
		}
	} else {
		var err error
		if gid, err = l.NewGlobalID(); err != nil {
			return Step{}, err
		}
	}
	who := holder{name, gid, entity.Caps}
	auth, err := who.grant(l.Servers, ceph.TypeAuth)
	if err != nil {
		return Step{}, err
	}
	more, err := who.grants(l.Servers, r.Services&^uint32(ceph.TypeAuth))
	if err != nil {
		return Step{}, err
	}
	secret, err := h.connectionSecret()
	if err != nil {
		return Step{}, err
	}
	var e denc.Encoder
	putLoginReply(&e, entity.Key, old, auth, secret, more)
	id := Identity{Name: name, GlobalID: gid, Caps: entity.Caps[ceph.TypeMon]}
	return h.done(&Session{Method: MethodCephX, Mode: h.mode, Identity: id, Key: auth.Session.Secret, Secret: secret}, e.Bytes())
}

// oldTicket opens the ticket with which an entity wants to keep its global id.
func (l *Login) oldTicket(b ticketBlob, name ceph.EntityName, gid uint64, now time.Time) (t ticketInfo, err error) {
	key, ok := l.Servers.TicketKey(ceph.TypeAuth, b.SecretID)
	if !ok || len(b.Sealed) == 0 {
		return t, errors.New("no earlier ticket")
	}
	if err := key.take(b.Sealed, t.decode); err != nil {
		return t, fmt.Errorf("earlier ticket: %w", err)
	}
	if t.Name != name || t.GlobalID != gid || now.After(t.Expires.Std()) {
		return t, fmt.Errorf("earlier ticket is of %v as %d until %v", t.Name, t.GlobalID, t.Expires)
	}
	return t, nil
}

// holder is who gets tickets.
type holder struct {
	name ceph.EntityName
	gid  uint64
	caps map[ceph.EntityType]string
}

func (w holder) grant(s *KeyServer, service ceph.EntityType) (grant, error) {
	caps := w.caps[service]
	if service == ceph.TypeAuth {
		caps = w.caps[ceph.TypeMon]
	}
	return s.ticket(service, ticketInfo{Name: w.name, GlobalID: w.gid, Caps: caps})
}

// grants makes a ticket for each service of a mask, ascending. Others than known
// ones are left out.
func (w holder) grants(s *KeyServer, mask uint32) (out []grant, err error) {
	services := slices.Clone(ticketServices)
	slices.Sort(services)
	for _, t := range services {
		if mask&uint32(t) == 0 {
			continue
		}
		g, err := w.grant(s, t)
		if err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	return out, nil
}

// putLoginReply appends the content of a monitor's AUTH_DONE.
func putLoginReply(e *denc.Encoder, key Key, old *Key, auth grant, secret Secret, more []grant) {
	e.U16(reqAuthKey)
	e.I32(0)
	putTickets(e, key, old, []grant{auth})
	m := e.Open()
	auth.Session.putSealed(e, func(e *denc.Encoder) { e.Blob(secret) })
	e.End(m)
	m = e.Open()
	if len(more) > 0 {
		putTickets(e, auth.Session, nil, more)
	}
	e.End(m)
}

// Request answers what an entity asks with MAuth on an open session: tickets, or
// for a daemon the rotating secrets of its service. id is who the session is of.
// An error that is a ceph.Errno is the result to reply.
func (l *Login) Request(id Identity, now time.Time, payload []byte) ([]byte, error) {
	d := denc.NewDecoder(payload)
	var e denc.Encoder
	switch req := d.U16(); req {
	case reqTickets:
		a := takeAuthorizer(d)
		version(d, "ticket request", 1, 1)
		mask := d.U32()
		if err := d.Finish(); err != nil {
			return nil, fmt.Errorf("ticket request: %w: %w", err, ceph.EINVAL)
		}
		t, _, err := a.verify(l.Servers, ceph.TypeAuth, now)
		if err != nil || t.Name != id.Name || t.GlobalID != id.GlobalID {
			return nil, fmt.Errorf("ticket request of %v: %v: %w", id.Name, err, ceph.EACCES)
		}
		entity, ok := l.Entities.Entity(id.Name)
		if !ok {
			return nil, fmt.Errorf("ticket request of %v, which is gone: %w", id.Name, ceph.EACCES)
		}
		grants, err := holder{t.Name, t.GlobalID, entity.Caps}.grants(l.Servers, mask)
		if err != nil {
			return nil, err
		}
		e.U16(req)
		e.I32(0)
		putTickets(&e, t.Session, nil, grants)
		return e.Bytes(), nil
	case reqRotating:
		if err := d.Finish(); err != nil {
			return nil, fmt.Errorf("request for secrets: %w: %w", err, ceph.EINVAL)
		}
		entity, ok := l.Entities.Entity(id.Name)
		switch id.Name.Type {
		case ceph.TypeOSD, ceph.TypeMDS, ceph.TypeMgr:
		default:
			ok = false
		}
		if !ok {
			return nil, fmt.Errorf("%v asks for secrets of services: %w", id.Name, ceph.EACCES)
		}
		e.U16(req)
		e.I32(0)
		entity.Key.putSealed(&e, l.Servers.Keys(id.Name.Type).Encode)
		return e.Bytes(), nil
	default:
		return nil, fmt.Errorf("auth request %#x: %w", req, ceph.EINVAL)
	}
}

// randomU64 draws a number.
func randomU64(r io.Reader) (uint64, error) {
	s := Server{Rand: r}
	return s.challenge()
}
