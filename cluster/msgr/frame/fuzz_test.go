package frame

import (
	"bytes"
	"testing"

	"ebofs/cluster/denc"
	"ebofs/cluster/golden"
)

// seeds adds the bytes of golden frames that keep accepts.
func seeds(f *testing.F, keep func(*golden.Line) bool) {
	for _, name := range golden.Names(f) {
		for _, lines := range golden.Session(f, name) {
			for _, l := range lines {
				if l.Whole() && keep(l) && len(l.Bytes) < 1500 {
					f.Add([]byte(l.Bytes))
				}
			}
		}
	}
}

// drain reads frames until an error and checks that what came assembles again.
func drain(t *testing.T, r *Reader, again func(*Frame)) {
	for {
		h, err := r.Head()
		if err != nil || h.Bytes() > 1<<20 {
			return
		}
		f, err := r.Body()
		if err != nil {
			return
		}
		if !f.Aborted {
			again(&f)
		}
	}
}

func FuzzBanner(f *testing.F) {
	f.Add(AppendBanner(nil))
	f.Add([]byte("ceph v027"))
	f.Fuzz(func(t *testing.T, p []byte) {
		if err := NewReader(bytes.NewReader(p)).Banner(); err == nil && len(p) < BannerBytes {
			t.Errorf("%q was taken for a banner", p)
		}
	})
}

func FuzzCRC(f *testing.F) {
	seeds(f, func(l *golden.Line) bool { return l.Mode != "secure" && l.Tag != "BANNER" })
	f.Fuzz(func(t *testing.T, p []byte) {
		drain(t, NewReader(bytes.NewReader(p)), func(fr *Frame) {
			var out bytes.Buffer
			w := NewWriter()
			w.Add(fr.Tag, fr.First, fr.Rest[:]...)
			w.Flush(&out)
			drain(t, NewReader(&out), func(got *Frame) {
				if got.Head != fr.Head || !bytes.Equal(got.First, fr.First) {
					t.Errorf("%v came back as %v", fr.Head, got.Head)
				}
			})
		})
	})
}

// FuzzSecure seals what it is given with the right keys, so that mutations reach
// the preamble, the paddings and the epilogue, and then breaks a byte.
func FuzzSecure(f *testing.F) {
	f.Add([]byte{17, 1}, []byte{1, 2, 3}, uint16(0), byte(0))
	f.Add(fill(80, 0), fill(64, 0), uint16(3), byte(1))
	f.Fuzz(func(t *testing.T, head, rest []byte, at uint16, flip byte) {
		secret := fill(SecretBytes, 5)
		r, w := NewReader(nil), NewWriter()
		Secure(r, NewWriter(), secret, true)
		Secure(NewReader(nil), w, secret, false)
		plain := append(bytes.Clone(head), make([]byte, preambleBytes+inlineBytes)...)[:preambleBytes+inlineBytes]
		h := Head{Tag: Message, Lengths: [4]uint32{uint32(len(head)), uint32(len(rest))}}
		if flip&1 == 0 {
			copy(plain, h.appendPreamble(nil))
		}
		wire, _ := w.secure.seal(plain, 0)
		n := len(wire)
		wire, _ = w.secure.seal(append(wire, rest...), n)
		if flip != 0 && len(wire) > 0 {
			wire[int(at)%len(wire)] ^= flip
		}
		r.src.r = bytes.NewReader(wire)
		drain(t, r, func(*Frame) {})
	})
}

// FuzzControl decodes the payload of every control frame and message header.
func FuzzControl(f *testing.F) {
	for _, name := range golden.Names(f) {
		for _, lines := range golden.Session(f, name) {
			for _, l := range lines {
				if l.Mode == "secure" || !l.Whole() || l.Tag == "BANNER" {
					continue
				}
				r := NewReader(bytes.NewReader(l.Bytes))
				if h, err := r.Head(); err == nil {
					if fr, err := r.Body(); err == nil {
						f.Add(uint8(h.Tag), fr.First)
					}
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, tag uint8, p []byte) {
		fr := &Frame{Head: Head{Tag: Tag(tag)}, First: p}
		b, err := decode(fr)
		if err != nil {
			return
		}
		var e denc.Encoder
		b.Encode(&e)
		once := bytes.Clone(e.Bytes())
		fr.First = once
		if b, err = decode(fr); err != nil {
			t.Fatalf("%v: what was encoded does not decode: %v", fr.Tag, err)
		}
		e.Reset()
		b.Encode(&e)
		if !bytes.Equal(e.Bytes(), once) {
			t.Errorf("%v: %x and %x", fr.Tag, once, e.Bytes())
		}
	})
}
