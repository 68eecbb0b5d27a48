package frame

import (
	"errors"
	"fmt"
)

var (
	// ErrBad is wrapped by every error about bytes that cannot be a frame, or not
	// here.
	ErrBad = errors.New("bad frame")

	// ErrIncompatible is wrapped when the peer speaks another protocol or revision.
	ErrIncompatible = errors.New("incompatible peer")

	// ErrNonces is returned when a secure session has used up its nonces.
	ErrNonces = errors.New("nonces of this session are used up")
)

// Tag says what a frame is.
type Tag uint8

// Tags of messenger v2.1. Releases after 16.2 add two for compression, which
// they use only after an offer that is never made here.
const (
	Hello                   Tag = 1
	AuthRequest             Tag = 2
	AuthBadMethod           Tag = 3
	AuthReplyMore           Tag = 4
	AuthRequestMore         Tag = 5
	AuthDone                Tag = 6
	AuthSignature           Tag = 7
	ClientIdent             Tag = 8
	ServerIdent             Tag = 9
	IdentMissingFeatures    Tag = 10
	SessionReconnect        Tag = 11
	SessionReset            Tag = 12
	SessionRetry            Tag = 13
	SessionRetryGlobal      Tag = 14
	SessionReconnectOK      Tag = 15
	Wait                    Tag = 16
	Message                 Tag = 17
	Keepalive               Tag = 18
	KeepaliveAck            Tag = 19
	Ack                     Tag = 20
	lastTag                     = Ack
	maxSegments                 = 4
	controlAlign                = 8
	dataAlign                   = 4096
	lateComplete, lateAbort     = 0xe, 0x1
)

var tagNames = [...]string{
	"no tag", "HELLO", "AUTH_REQUEST", "AUTH_BAD_METHOD", "AUTH_REPLY_MORE", "AUTH_REQUEST_MORE", "AUTH_DONE",
	"AUTH_SIGNATURE", "CLIENT_IDENT", "SERVER_IDENT", "IDENT_MISSING_FEATURES", "SESSION_RECONNECT", "SESSION_RESET",
	"SESSION_RETRY", "SESSION_RETRY_GLOBAL", "SESSION_RECONNECT_OK", "WAIT", "MESSAGE", "KEEPALIVE2", "KEEPALIVE2_ACK", "ACK",
}

func (t Tag) String() string {
	if int(t) < len(tagNames) {
		return tagNames[t]
	}
	return fmt.Sprintf("tag %d", uint8(t))
}

// bad returns an error that wraps ErrBad.
func bad(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrBad)
}
