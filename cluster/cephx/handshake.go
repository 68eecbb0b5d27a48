package cephx

import (
	"fmt"

	"ebofs/cluster/ceph"
)

// Method says how an entity proves who it is.
type Method uint32

// Methods, as they travel.
const (
	MethodNone  Method = 1
	MethodCephX Method = 2
)

func (m Method) String() string {
	switch m {
	case MethodNone:
		return "none"
	case MethodCephX:
		return "cephx"
	}
	return fmt.Sprintf("method %d", uint32(m))
}

// Mode says how the bytes of a connection are protected after the handshake.
type Mode uint32

// Modes, as they travel.
const (
	ModeCRC    Mode = 1 // against accidents
	ModeSecure Mode = 2 // encrypted and authenticated
)

func (m Mode) String() string {
	switch m {
	case ModeCRC:
		return "crc"
	case ModeSecure:
		return "secure"
	}
	return fmt.Sprintf("mode %d", uint32(m))
}

// Identity is who the other side of a connection has proved to be.
type Identity struct {
	Name     ceph.EntityName
	GlobalID uint64
	// Caps is the capability string for the service asked; AllowAll that there are
	// no limits, as everybody has under MethodNone.
	Caps     string
	AllowAll bool
}

// Session is what both sides of a connection have when the handshake is over.
type Session struct {
	Method Method
	Mode   Mode
	Identity
	Key    Secret // signs the handshake; empty under MethodNone
	Secret Secret // of the connection; 64 bytes in ModeSecure, else empty
}

// Refusal is an error that is told to the other side: the method or mode is not
// supported (EOPNOTSUPP) or the proof does not hold (EACCES).
type Refusal struct {
	Method  Method
	Result  ceph.Errno
	Methods []Method // allowed ones
	Modes   []Mode   // allowed ones
	Reason  string   // for our log; not told
}

// Error says what was refused, and why if that is known.
func (r *Refusal) Error() string {
	if r.Reason != "" {
		return fmt.Sprintf("%v refused: %s: %v", r.Method, r.Reason, r.Result)
	}
	return fmt.Sprintf("%v refused: %v", r.Method, r.Result)
}

// Unwrap returns the errno, which errors.Is finds.
func (r *Refusal) Unwrap() error { return r.Result }

// Step is a server's answer in a handshake that goes on, or with Done has ended
// well. Reply belongs to the caller.
type Step struct {
	Reply []byte
	Done  *Session
}
