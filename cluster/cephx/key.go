package cephx

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

// ErrKey is wrapped by errors about a key that is none, and about bytes that were
// not sealed with the key at hand.
var ErrKey = errors.New("bad key")

// KeyType says for which cipher a key is.
type KeyType uint16

// KeyAES is AES-128-CBC, the only type of release 16.2.
const KeyAES KeyType = 1

const aesBytes = 16

// Key is a secret key. It prints without its secret.
type Key struct {
	Type    KeyType
	Created ceph.Time
	Secret  Secret
}

// NewKey draws a key.
func NewKey(rand io.Reader, now time.Time) (Key, error) {
	k := Key{Type: KeyAES, Created: ceph.MakeTime(now), Secret: make(Secret, aesBytes)}
	_, err := io.ReadFull(rand, k.Secret)
	return k, err
}

// String hides the secret.
func (k Key) String() string { return redacted }

// GoString hides the secret.
func (k Key) GoString() string { return redacted }

// IsZero reports whether k is no key.
func (k Key) IsZero() bool { return k.Type == 0 }

// Equal compares type and secret in constant time.
func (k Key) Equal(o Key) bool { return k.Type == o.Type && k.Secret.Equal(o.Secret) }

// Encode appends type, creation and secret.
func (k Key) Encode(e *denc.Encoder) {
	e.U16(uint16(k.Type))
	k.Created.Encode(e)
	e.U16(uint16(len(k.Secret)))
	e.Raw(k.Secret)
}

// DecodeKey reads a Key; one of another type or length than is known is an error.
func DecodeKey(d *denc.Decoder) Key {
	k := Key{Type: KeyType(d.U16()), Created: ceph.DecodeTime(d)}
	n := int(d.U16())
	k.Secret = Secret(bytes.Clone(d.Raw(n)))
	if d.Err() == nil && (k.Type != KeyAES || n != aesBytes) {
		d.Failf("key of type %d with %d bytes, want type %d with %d", k.Type, n, KeyAES, aesBytes)
	}
	if d.Err() != nil {
		return Key{}
	}
	return k
}

// Base64 returns the text form, which keyrings and the auth commands show.
func (k Key) Base64() string {
	var e denc.Encoder
	k.Encode(&e)
	return base64.StdEncoding.EncodeToString(e.Bytes())
}

// ParseKey reads the text form. The error does not repeat it.
func ParseKey(s string) (Key, error) {
	p, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return Key{}, fmt.Errorf("key is not base64: %w", ErrKey)
	}
	d := denc.NewDecoder(p)
	k := DecodeKey(d)
	if err := d.Finish(); err != nil {
		return Key{}, fmt.Errorf("key: %w: %w", err, ErrKey)
	}
	return k, nil
}

const (
	sealVersion        = 1
	sealMagic   uint64 = 0xff009cad8826aa55
	sealHead           = 9
)

// vector is the same for everything: the format's, not ours to better.
var vector = []byte("cephsageyudagreg")

func (k Key) block() cipher.Block {
	b, err := aes.NewCipher(k.Secret)
	if err != nil {
		// Keys are checked where they come in.
		panic(fmt.Sprintf("cephx: key of type %d with %d bytes: %v", k.Type, len(k.Secret), err))
	}
	return b
}

// seal encrypts what put writes behind version and magic.
func (k Key) seal(put func(*denc.Encoder)) []byte {
	var e denc.Encoder
	e.U8(sealVersion)
	e.U64(sealMagic)
	put(&e)
	pad := aes.BlockSize - e.Len()%aes.BlockSize
	for range pad {
		e.U8(uint8(pad))
	}
	p := e.Bytes()
	cipher.NewCBCEncrypter(k.block(), vector).CryptBlocks(p, p)
	return p
}

// open decrypts p and returns a decoder of what follows version and magic. Which
// of these checks failed is nobody's business.
func (k Key) open(p []byte) (*denc.Decoder, error) {
	no := fmt.Errorf("not sealed with this key: %w", ErrKey)
	if len(p) == 0 || len(p)%aes.BlockSize != 0 || k.IsZero() {
		return nil, no
	}
	plain := make([]byte, len(p))
	cipher.NewCBCDecrypter(k.block(), vector).CryptBlocks(plain, p)
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > aes.BlockSize || len(plain)-pad < sealHead {
		return nil, no
	}
	body := plain[:len(plain)-pad]
	ok := subtle.ConstantTimeCompare(plain[len(body):], bytes.Repeat([]byte{byte(pad)}, pad))
	ok &= subtle.ConstantTimeByteEq(body[0], sealVersion)
	magic := binary.LittleEndian.AppendUint64(nil, sealMagic)
	if ok&subtle.ConstantTimeCompare(body[1:sealHead], magic) != 1 {
		return nil, no
	}
	return denc.NewDecoder(body[sealHead:]), nil
}

// putSealed appends a sealed blob: a length and the ciphertext.
func (k Key) putSealed(e *denc.Encoder, put func(*denc.Encoder)) { e.Blob(k.seal(put)) }

// takeSealed reads a sealed blob and decodes all of it.
func (k Key) takeSealed(d *denc.Decoder, take func(*denc.Decoder)) error {
	p := d.Bytes()
	if d.Err() != nil {
		return d.Err()
	}
	return k.take(p, take)
}

// take opens p and decodes all of it.
func (k Key) take(p []byte, take func(*denc.Decoder)) error {
	in, err := k.open(p)
	if err != nil {
		return err
	}
	take(in)
	return in.Finish()
}
