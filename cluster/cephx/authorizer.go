package cephx

import (
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

// Kinds of authentication requests: their first byte.
const (
	kindAuthorizer = 1  // to a service
	kindLogin      = 10 // to a monitor
)

// authorizer proves to a service that its sender holds a ticket and the session
// key in it.
type authorizer struct {
	GlobalID uint64
	Service  ceph.EntityType
	Ticket   ticketBlob
	proof    []byte // sealed with the session key
}

// proof is the inner part: answers a challenge when there was one.
type proof struct {
	Nonce     uint64
	Answers   bool
	Challenge uint64 // plus one
}

func (p *proof) encode(e *denc.Encoder) {
	e.U8(2)
	e.U64(p.Nonce)
	e.Bool(p.Answers)
	e.U64(p.Challenge)
}

func (p *proof) decode(d *denc.Decoder) {
	version(d, "authorizer's proof", 2, 2)
	p.Nonce, p.Answers, p.Challenge = d.U64(), d.Bool(), d.U64()
}

// putAuthorizer appends an authorizer.
func putAuthorizer(e *denc.Encoder, gid uint64, g *grant, p proof) {
	e.U8(kindAuthorizer)
	e.U64(gid)
	e.U32(uint32(g.Service))
	g.Ticket.encode(e)
	g.Session.putSealed(e, p.encode)
}

func takeAuthorizer(d *denc.Decoder) (a authorizer) {
	version(d, "authorizer", kindAuthorizer, kindAuthorizer)
	a.GlobalID = d.U64()
	if t := d.U32(); t <= 0xff {
		a.Service = ceph.EntityType(t)
	} else {
		d.Failf("service %#x", t)
	}
	a.Ticket = decodeTicketBlob(d)
	a.proof = d.Bytes()
	return a
}

// maxSkew is how far behind a daemon's clock the one that gave out a ticket may be
// before the ticket is taken for expired. What ends a ticket for certain is that
// its rotating secret is forgotten.
const maxSkew = 5 * time.Minute

// verify opens the ticket and the proof of an authorizer for a service.
func (a *authorizer) verify(keys TicketKeys, service ceph.EntityType, now time.Time) (t ticketInfo, p proof, err error) {
	if a.Service != service {
		return t, p, fmt.Errorf("authorizer is for %v, this is %v", a.Service, service)
	}
	key, ok := keys.TicketKey(service, a.Ticket.SecretID)
	if !ok {
		return t, p, fmt.Errorf("ticket is sealed with secret %d of %v, which is not known", a.Ticket.SecretID, service)
	}
	if err := key.take(a.Ticket.Sealed, t.decode); err != nil {
		return t, p, fmt.Errorf("ticket: %w", err)
	}
	if err := t.Session.take(a.proof, p.decode); err != nil {
		return t, p, fmt.Errorf("authorizer: %w", err)
	}
	switch {
	case a.GlobalID != t.GlobalID:
		return t, p, fmt.Errorf("authorizer of %d with the ticket of %d", a.GlobalID, t.GlobalID)
	case now.After(t.Expires.Std().Add(maxSkew)):
		return t, p, fmt.Errorf("ticket of %v expired at %v", t.Name, t.Expires)
	}
	return t, p, nil
}

// sameU64 compares in constant time.
func sameU64(a, b uint64) bool {
	var p, q [8]byte
	binary.LittleEndian.PutUint64(p[:], a)
	binary.LittleEndian.PutUint64(q[:], b)
	return subtle.ConstantTimeCompare(p[:], q[:]) == 1
}

// loginProof is what shows a monitor that the sender knows key: the words of the
// sealed challenges, their length in front included, folded into one.
func loginProof(key Key, server, client uint64) uint64 {
	var e denc.Encoder
	key.putSealed(&e, func(e *denc.Encoder) {
		e.U64(server)
		e.U64(client)
	})
	var fold uint64
	for p := e.Bytes(); len(p) >= 8; p = p[8:] {
		fold ^= binary.LittleEndian.Uint64(p)
	}
	return fold
}
