package msgr

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
)

// Features of sessions. A peer with all of them uses, and gets, the present
// encoding of every structure.
const (
	Features16 uint64 = 0x3f01cfbdfffdffff // what release 16.2 announces
	// FeatureAddr2 says that addresses come in the modern form. A peer without it
	// is refused.
	FeatureAddr2 uint64 = 1 << 59
)

// ClientAuth is the dialling side of one handshake.
type ClientAuth interface {
	// Request returns the next method to try.
	Request() (cephx.Method, []cephx.Mode, []byte, error)
	// Refused is told that the last request was, and returns an error if there is
	// no other to make.
	Refused(*cephx.Refusal) error
	// More answers the server.
	More(payload []byte) ([]byte, error)
	// Done checks the server's last word.
	Done(globalID uint64, mode cephx.Mode, payload []byte) (*cephx.Session, error)
}

// ServerAuth is the accepting side of one handshake. A *cephx.Refusal is told to
// the peer, who may try another method; other errors close the connection.
type ServerAuth interface {
	Request(method cephx.Method, modes []cephx.Mode, payload []byte) (cephx.Step, error)
	More(payload []byte) (cephx.Step, error)
}

// Options says what a Messenger is for. Fields without a default named must be
// given; a zero in the others means the default.
type Options struct {
	// Type is what this entity is; it is said before authentication.
	Type ceph.EntityType
	// GID is this entity's number: the id of an OSD, the rank of a monitor, the
	// global id of a client or manager once it has one, else −1. See SetGID.
	GID int64
	// Nonce of our addresses: tells two lives on one port apart. 0 for monitors.
	Nonce uint32

	Dispatcher Dispatcher
	// ClientAuth starts the handshake of a connection to an entity of a type.
	// Without it nothing can be dialled.
	ClientAuth func(to ceph.EntityType) (ClientAuth, error)
	// ServerAuth starts the handshake of a connection that was accepted. Without it
	// nothing can be bound.
	ServerAuth func() ServerAuth
	// Accept returns the policy of a session that an entity of a type opens.
	// Default: StatelessServer for all.
	Accept func(from ceph.EntityType) Policy

	Transport Transport    // default: TCP
	Clock     Clock        // default: the system's
	Rand      io.Reader    // cookies and back-off; default: crypto/rand
	Log       *slog.Logger // default: none

	Supported uint64 // features; default: Features16
	Required  uint64 // features; default: FeatureAddr2, which is always required

	// HandshakeTimeout is how long a connection may take to be ready. Default 10 s,
	// as Ceph: clients give up then.
	HandshakeTimeout time.Duration
	// IdleTimeout closes connections on which nothing moves. Default 900 s, as Ceph;
	// negative: never.
	IdleTimeout time.Duration
	// FrameTimeout is how long one frame may take in either direction, beside a
	// second for each 64 KiB of it. Default 60 s: a peer slower than that holds
	// memory others need.
	FrameTimeout time.Duration
	// BackoffMin and BackoffMax bound the pause before another attempt, which
	// doubles each time. Defaults 0.2 s and 15 s, as Ceph.
	BackoffMin, BackoffMax time.Duration

	// MaxHandshakes is how many accepted connections may be unauthenticated at once,
	// and MaxHandshakesPerAddr how many of one IP address; more are closed at once.
	// Defaults 4096 and 512: about 16 KiB each, and far above what 10 s of honest
	// arrivals make.
	MaxHandshakes, MaxHandshakesPerAddr int

	// MaxMessageBytes bounds front, middle and data of one message. Default 128 MiB:
	// an OSD takes writes up to 90 MiB.
	MaxMessageBytes int
	// Room of messages that were received and are not released, of one connection and
	// of all: a reader waits for it. One message always fits. Defaults 64 MiB and 1024
	// messages, 512 MiB and 16384.
	RecvBytesPerConn, RecvMessagesPerConn int
	RecvBytes, RecvMessages               int
	// Room of messages that wait to be sent or acknowledged, of one connection and
	// of all; Send fails without it. Defaults 256 MiB and 65536 messages, 1 GiB.
	SendBytesPerConn, SendMessagesPerConn int
	SendBytes                             int
}

func or[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// fill sets defaults and lists every problem.
func (o *Options) fill() error {
	or[Transport](&o.Transport, TCP{})
	or[Clock](&o.Clock, systemClock{})
	or[io.Reader](&o.Rand, rand.Reader)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Accept == nil {
		o.Accept = func(ceph.EntityType) Policy { return StatelessServer }
	}
	or(&o.Supported, Features16)
	o.Required |= FeatureAddr2
	or(&o.HandshakeTimeout, 10*time.Second)
	or(&o.IdleTimeout, 900*time.Second)
	or(&o.FrameTimeout, 60*time.Second)
	or(&o.BackoffMin, 200*time.Millisecond)
	or(&o.BackoffMax, 15*time.Second)
	or(&o.MaxHandshakes, 4096)
	or(&o.MaxHandshakesPerAddr, 512)
	or(&o.MaxMessageBytes, 128<<20)
	or(&o.RecvBytesPerConn, 64<<20)
	or(&o.RecvMessagesPerConn, 1024)
	or(&o.RecvBytes, 512<<20)
	or(&o.RecvMessages, 16384)
	or(&o.SendBytesPerConn, 256<<20)
	or(&o.SendMessagesPerConn, 65536)
	or(&o.SendBytes, 1<<30)

	var errs []error
	if o.Dispatcher == nil {
		errs = append(errs, errors.New("no dispatcher"))
	}
	switch o.Type {
	case ceph.TypeMon, ceph.TypeMDS, ceph.TypeOSD, ceph.TypeClient, ceph.TypeMgr:
	default:
		errs = append(errs, fmt.Errorf("%v is not a type of entity", o.Type))
	}
	if o.Required&^o.Supported != 0 {
		errs = append(errs, fmt.Errorf("features %#x are required and not supported", o.Required&^o.Supported))
	}
	for name, n := range map[string]int{
		"HandshakeTimeout": int(o.HandshakeTimeout), "FrameTimeout": int(o.FrameTimeout), "BackoffMin": int(o.BackoffMin),
		"BackoffMax": int(o.BackoffMax), "MaxHandshakes": o.MaxHandshakes, "MaxHandshakesPerAddr": o.MaxHandshakesPerAddr,
		"MaxMessageBytes": o.MaxMessageBytes, "RecvBytesPerConn": o.RecvBytesPerConn, "RecvMessagesPerConn": o.RecvMessagesPerConn,
		"RecvBytes": o.RecvBytes, "RecvMessages": o.RecvMessages, "SendBytesPerConn": o.SendBytesPerConn,
		"SendMessagesPerConn": o.SendMessagesPerConn, "SendBytes": o.SendBytes,
	} {
		if n < 0 {
			errs = append(errs, fmt.Errorf("%s is negative", name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("messenger options: %w", err)
	}
	return nil
}
