package frame

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
)

// SecretBytes is how long a connection secret is: key 16, two nonces of 12, and
// 24 that are not used.
const SecretBytes = 64

const (
	keyBytes    = 16
	nonceBytes  = 12
	tagBytes    = 16
	inlineBytes = 48 // of segment 0, in the block of the preamble
	padTo       = 16
	headBlock   = preambleBytes + inlineBytes + tagBytes
)

// stream is one direction of a secure session.
type stream struct {
	aead  cipher.AEAD
	nonce [nonceBytes]byte // u32 fixed, u64 counter
	first uint64           // counter of the first block
	used  bool             // the first block is done
}

// streams returns the directions of a connection secret. The initiator reads
// with the first nonce and writes with the second.
func streams(secret []byte, initiator bool) (in, out *stream, err error) {
	if len(secret) != SecretBytes {
		return nil, nil, fmt.Errorf("connection secret of %d bytes, want %d", len(secret), SecretBytes)
	}
	block, err := aes.NewCipher(secret[:keyBytes])
	if err != nil {
		return nil, nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, nil, err
	}
	mk := func(nonce []byte) *stream {
		return &stream{aead: aead, nonce: [nonceBytes]byte(nonce), first: binary.LittleEndian.Uint64(nonce[4:])}
	}
	a, b := mk(secret[keyBytes:][:nonceBytes]), mk(secret[keyBytes+nonceBytes:][:nonceBytes])
	if initiator {
		return a, b, nil
	}
	return b, a, nil
}

// next returns the nonce of the next block.
func (s *stream) next() ([]byte, error) {
	counter := binary.LittleEndian.Uint64(s.nonce[4:])
	if s.used {
		counter++
		if counter == s.first {
			return nil, ErrNonces
		}
		binary.LittleEndian.PutUint64(s.nonce[4:], counter)
	}
	s.used = true
	return s.nonce[:], nil
}

// seal encrypts p[at:] in place and appends the tag.
func (s *stream) seal(p []byte, at int) ([]byte, error) {
	nonce, err := s.next()
	if err != nil {
		return p, err
	}
	return s.aead.Seal(p[:at], nonce, p[at:], nil), nil
}

// open decrypts p in place and returns it without its tag.
func (s *stream) open(p []byte) ([]byte, error) {
	nonce, err := s.next()
	if err != nil {
		return nil, err
	}
	plain, err := s.aead.Open(p[:0], nonce, p, nil)
	if err != nil {
		return nil, bad("secure block of %d bytes does not authenticate", len(p))
	}
	return plain, nil
}

// padded rounds n up to a whole number of cipher blocks.
func padded(n int64) int64 { return (n + padTo - 1) &^ (padTo - 1) }
