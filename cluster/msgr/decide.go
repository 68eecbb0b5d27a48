package msgr

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/msgr/frame"
)

// view is what the accepting side of a connection knows about the session it
// already has for the peer's address. Its rules decide, and do nothing.
type view struct {
	closed     bool // or there is none
	replacing  bool // another connection is taking it over right now
	lossy      bool
	server     bool // its policy never dials
	resetCheck bool
	settled    bool // ready or in standby: no attempt of ours is under way

	peer         ceph.Addr
	clientCookie uint64
	serverCookie uint64
	globalSeq    uint64 // the peer's newest
	connectSeq   uint64
}

// verdict is how a CLIENT_IDENT or SESSION_RECONNECT is answered.
type verdict uint8

const (
	openNew      verdict = iota // a session of its own; an old one is gone
	reuse                       // the connection takes the session over
	reuseReset                  // likewise, and what it held is forgotten
	answerWait                  // WAIT: our own attempt goes on
	dropIt                      // a stale attempt: close
	answerReset                 // SESSION_RESET(full)
	answerForget                // SESSION_RESET(not full)
	answerRetry                 // SESSION_RETRY
	answerGlobal                // SESSION_RETRY_GLOBAL
)

// onIdent decides about a CLIENT_IDENT at the address mine.
func (v *view) onIdent(mine ceph.Addr, in *frame.ClientIdentBody) verdict {
	switch {
	case v.closed:
		return openNew
	case v.replacing:
		return answerWait
	case v.globalSeq > in.GlobalSeq:
		return dropIt
	case v.lossy:
		return openNew
	case v.serverCookie != 0 && v.clientCookie != 0 && v.clientCookie != in.Cookie:
		// The peer is another life, or has been told to forget.
		if v.resetCheck {
			return reuseReset
		}
		return reuse
	case v.clientCookie == in.Cookie, v.settled:
		return reuse
	case v.server || v.peer.CompareMemory(mine) < 0:
		return reuse // both dialled, and the lower address wins
	}
	return answerWait
}

// onReconnect decides about a SESSION_RECONNECT at the address mine.
func (v *view) onReconnect(mine ceph.Addr, in *frame.ReconnectBody) verdict {
	switch {
	case v.closed:
		return answerReset
	case v.replacing:
		return answerGlobal
	case v.clientCookie != in.ClientCookie:
		if v.resetCheck {
			return answerReset
		}
		return answerForget
	case v.serverCookie == 0:
		return answerForget
	case v.serverCookie != in.ServerCookie:
		// Neither side's restart leaves the client's cookie and changes the server's:
		// a session of which we know nothing.
		return answerReset
	case v.globalSeq > in.GlobalSeq:
		return answerGlobal
	case v.connectSeq > in.ConnectSeq:
		return answerRetry
	case v.connectSeq == in.ConnectSeq && !v.server && v.peer.CompareMemory(mine) > 0:
		return answerWait
	}
	return reuse
}
