package msgr

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/msgr/frame"
)

// greet exchanges banners and HELLOs; seen is how this side reaches or sees the
// peer. It returns how the peer introduces itself.
func (m *Messenger) greet(s *socket, seen ceph.Addr) (frame.HelloBody, error) {
	s.w.Banner()
	if err := s.w.Flush(s.nc); err != nil {
		return frame.HelloBody{}, err
	}
	if err := s.r.Banner(); err != nil {
		return frame.HelloBody{}, err
	}
	if err := s.control(frame.Hello, frame.HelloBody{Type: m.o.Type, Peer: seen}); err != nil {
		return frame.HelloBody{}, err
	}
	p, err := s.expect(frame.Hello, maxHelloBytes)
	if err != nil {
		return frame.HelloBody{}, err
	}
	return frame.DecodeHello(p)
}

// sign ends the authentication: both sides enter the mode they agreed on and
// prove, with the key of the session, that neither's bytes were changed on the
// way.
func (s *socket) sign(a *cephx.Session) error {
	received, written := s.r.Transcript(), s.w.Transcript()
	if a.Mode == cephx.ModeSecure {
		if err := frame.Secure(s.r, s.w, a.Secret, s.initiator); err != nil {
			return err
		}
	}
	if err := s.w.Add(frame.AuthSignature, signature(a.Key, received)); err != nil {
		return err
	}
	if err := s.w.Flush(s.nc); err != nil {
		return err
	}
	got, err := s.expect(frame.AuthSignature, maxHelloBytes)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(got, signature(a.Key, written)) != 1 {
		return protocol("signature of the handshake does not match")
	}
	s.r.Grow()
	return nil
}

// signature is the HMAC of all bytes received so far; zeros without a key.
func signature(key cephx.Secret, transcript []byte) []byte {
	if len(key) == 0 {
		return make([]byte, frame.SignatureBytes)
	}
	h := hmac.New(sha256.New, key)
	h.Write(transcript)
	return h.Sum(nil)
}

func u32s[T ~uint32](v []T) []uint32 {
	var out []uint32
	for _, x := range v {
		out = append(out, uint32(x))
	}
	return out
}

func typed[T ~uint32](v []uint32) []T {
	var out []T
	for _, x := range v {
		out = append(out, T(x))
	}
	return out
}
