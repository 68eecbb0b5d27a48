package frame

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"runtime"
	"testing"

	"ebofs/cluster/denc"
	"ebofs/cluster/golden"
)

// skip advances a stream over the blocks of a frame whose bytes are cut off.
func (s *stream) skip(blocks int) {
	for range blocks {
		if _, err := s.next(); err != nil {
			panic(err)
		}
	}
}

// direction is one side of a golden connection: a reader of what it sent and a
// writer that has to make the same bytes.
type direction struct {
	r *Reader
	w *Writer
}

// TestGolden parses every frame of every golden session and assembles it again.
func TestGolden(t *testing.T) {
	plain, secure, cutOff := 0, 0, 0
	for _, name := range golden.Names(t) {
		for _, lines := range golden.Session(t, name) {
			sides := map[bool]*direction{}
			for _, client := range []bool{true, false} {
				sides[client] = &direction{NewReader(nil), NewWriter()}
			}
			for _, l := range lines {
				s := sides[l.Client()]
				s.r.src.r = bytes.NewReader(l.Bytes)
				if !l.Whole() {
					s.r.src.r = bytes.NewReader(l.Head)
				}
				s.r.br.Reset(s.r.src)
				if l.Tag == "BANNER" {
					if err := s.r.Banner(); err != nil {
						t.Fatal(err)
					}
					continue
				}
				h, err := s.r.Head()
				if err != nil {
					t.Fatalf("%s: %s: %v", name, l.Tag, err)
				}
				if h.Tag.String() != l.Tag {
					t.Errorf("%s: tag %v, want %s", name, h.Tag, l.Tag)
				}
				if !l.Whole() {
					cutOff++
					if s.r.secure != nil {
						blocks := 1
						if h.Lengths[0] > inlineBytes {
							blocks++
						}
						s.r.secure.skip(blocks)
						s.w.secure.skip(blocks + 1)
						if h.segments() == 1 {
							t.Fatal("only messages are cut off")
						}
					}
					continue
				}
				f, err := s.r.Body()
				if err != nil {
					t.Fatalf("%s: %s: %v", name, l.Tag, err)
				}
				checkSegments(t, l, &f)
				recode(t, &f)
				if err := s.w.Add(h.Tag, f.First, f.Rest[:]...); err != nil {
					t.Fatal(err)
				}
				var out bytes.Buffer
				s.w.Flush(&out)
				if !bytes.Equal(out.Bytes(), l.Bytes) {
					t.Errorf("%s: %s\n got %x\nwant %x", name, l.Tag, out.Bytes(), l.Bytes)
				}
				if s.r.secure != nil {
					secure++
				} else {
					plain++
				}
				if h.Tag == AuthDone {
					var done struct {
						Mode   int    `json:"con_mode"`
						Secret string `json:"connection_secret"`
					}
					l.Decode(t, &done)
					if done.Mode != 2 {
						continue
					}
					key, _ := hex.DecodeString(done.Secret)
					// Each side's writer and the other's reader share a stream's keys;
					// here one object reads what a side sent, another sends it again.
					for client, s := range sides {
						if err := Secure(s.r, NewWriter(), key, !client); err != nil {
							t.Fatal(err)
						}
						if err := Secure(NewReader(nil), s.w, key, client); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
		}
	}
	t.Logf("%d plain and %d secure frames, %d more by their preamble", plain, secure, cutOff)
	if plain < 800 || secure < 70 {
		t.Errorf("%d plain and %d secure frames, fewer than there are", plain, secure)
	}
}

// checkSegments compares what was decrypted with what another parser did.
func checkSegments(t *testing.T, l *golden.Line, f *Frame) {
	for i, want := range l.Segments {
		got := f.First
		if i > 0 {
			got = f.Rest[i-1]
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: segment %d is %x, want %x", l.Tag, i, got, want)
		}
	}
}

// decode reads the payload of a control frame or a message header into something
// that can be encoded again.
func decode(f *Frame) (interface{ Encode(*denc.Encoder) }, error) {
	switch p := f.First; f.Tag {
	case Hello:
		return first(DecodeHello(p))
	case AuthRequest:
		return first(DecodeAuthRequest(p))
	case AuthBadMethod:
		return first(DecodeAuthBadMethod(p))
	case AuthReplyMore, AuthRequestMore:
		return first(DecodeAuthMore(p))
	case AuthDone:
		return first(DecodeAuthDone(p))
	case ClientIdent:
		return first(DecodeClientIdent(p))
	case ServerIdent:
		return first(DecodeServerIdent(p))
	case SessionReconnect:
		return first(DecodeReconnect(p))
	case IdentMissingFeatures, SessionRetry, SessionRetryGlobal, SessionReconnectOK, Ack:
		v, err := DecodeU64(p)
		return U64Body(v), err
	case SessionReset:
		v, err := DecodeReset(p)
		return ResetBody(v), err
	case Keepalive, KeepaliveAck:
		v, err := DecodeTime(p)
		return TimeBody(v), err
	case Message:
		h, err := DecodeHeader(p)
		return headerBody{h}, err
	}
	return rawBody(f.First), nil
}

func first[T interface{ Encode(*denc.Encoder) }](b T, err error) (interface{ Encode(*denc.Encoder) }, error) {
	return b, err
}

type rawBody []byte

func (b rawBody) Encode(e *denc.Encoder) { e.Raw(b) }

type headerBody struct{ Header }

func (b headerBody) Encode(e *denc.Encoder) { e.Raw(b.Header.Append(nil)) }

// recode decodes and encodes the payload.
func recode(t *testing.T, f *Frame) {
	t.Helper()
	b, err := decode(f)
	if err != nil {
		t.Fatalf("%v: %v", f.Tag, err)
	}
	var e denc.Encoder
	b.Encode(&e)
	if !bytes.Equal(e.Bytes(), f.First) {
		t.Errorf("%v\n got %x\nwant %x", f.Tag, e.Bytes(), f.First)
	}
}

// TestLarge sends frames of all shapes through a pipe of bytes, in both modes.
func TestLarge(t *testing.T) {
	secret := bytes.Repeat([]byte{7}, SecretBytes)
	for _, mode := range []string{"crc", "secure"} {
		t.Run(mode, func(t *testing.T) {
			var wire bytes.Buffer
			r, w := NewReader(&wire), NewWriter()
			r.Transcript()
			w.Transcript()
			if mode == "secure" {
				other := NewReader(nil)
				if err := Secure(r, NewWriter(), secret, true); err != nil {
					t.Fatal(err)
				}
				if err := Secure(other, w, secret, false); err != nil {
					t.Fatal(err)
				}
			}
			r.Grow()
			sizes := []int{0, 1, 15, 16, 17, 41, 48, 49, 4096, 8191, 8192, 32 << 10, 100_000, 1 << 20}
			var want [][4][]byte
			for i, a := range sizes {
				seg := [4][]byte{fill(41, 1), fill(sizes[len(sizes)-1-i], 2), fill(i%3*7, 3), fill(a, 4)}
				if err := w.Add(Message, seg[0], seg[1], seg[2], seg[3]); err != nil {
					t.Fatal(err)
				}
				want = append(want, seg)
				if i%3 == 2 {
					n := w.Size()
					w.Flush(&wire)
					if i == 2 && wire.Len() != n {
						t.Errorf("Size says %d, %d written", n, wire.Len())
					}
				}
			}
			w.Flush(&wire)
			for _, seg := range want {
				h, err := r.Head()
				if err != nil {
					t.Fatal(err)
				}
				f, err := r.Body()
				if err != nil {
					t.Fatalf("%v: %v", h, err)
				}
				if !bytes.Equal(f.First, seg[0]) || !bytes.Equal(f.Rest[0], seg[1]) || !bytes.Equal(f.Rest[1], seg[2]) || !bytes.Equal(f.Rest[2], seg[3]) {
					t.Fatalf("a frame of %v came out differently", h.Lengths)
				}
				f.Body.Free()
			}
			if _, err := r.Head(); err != io.EOF {
				t.Errorf("behind the last frame: %v, want EOF", err)
			}
		})
	}
}

func fill(n int, b byte) []byte { return bytes.Repeat([]byte{b}, n) }

// TestNonces ends a stream before a nonce would come again.
func TestNonces(t *testing.T) {
	secret := bytes.Repeat([]byte{0xff}, SecretBytes)
	_, out, err := streams(secret, true)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[[nonceBytes]byte]bool{}
	for range 3 {
		n, err := out.next()
		if err != nil || seen[[nonceBytes]byte(n)] {
			t.Fatalf("nonce %x again, or %v", n, err)
		}
		seen[[nonceBytes]byte(n)] = true
	}
	binary.LittleEndian.PutUint64(out.nonce[4:], out.first-1)
	if _, err := out.next(); err != ErrNonces {
		t.Errorf("after the last nonce: %v, want ErrNonces", err)
	}
	if _, err := out.next(); err != ErrNonces {
		t.Errorf("and once more: %v, want ErrNonces", err)
	}
}

// TestFlips changes every byte of a frame: in secure mode nothing gets through,
// in crc mode only the sender's alignments and the unused bits of the status.
func TestFlips(t *testing.T) {
	secret := fill(SecretBytes, 9)
	for _, secure := range []bool{false, true} {
		build := func() (*Reader, *source, []byte) {
			var wire bytes.Buffer
			r, w := NewReader(nil), NewWriter()
			if secure {
				Secure(r, NewWriter(), secret, true)
				Secure(NewReader(nil), w, secret, false)
			}
			w.Add(Message, fill(60, 1), fill(30, 2), nil, fill(20, 3))
			w.Flush(&wire)
			return r, r.src, wire.Bytes()
		}
		_, _, whole := build()
		for i := range whole {
			r, src, p := build()
			p[i] ^= 0x10
			src.r = bytes.NewReader(p)
			_, err := r.Head()
			if err == nil {
				_, err = r.Body()
			}
			status := !secure && i == len(whole)-epilogueBytes
			if err == nil && !status {
				t.Errorf("secure %v: byte %d of %d flipped and accepted", secure, i, len(whole))
			}
		}
		for n := 1; n < len(whole); n++ {
			r, src, p := build()
			src.r = bytes.NewReader(p[:n])
			_, err := r.Head()
			if err == nil {
				_, err = r.Body()
			}
			if err != io.ErrUnexpectedEOF {
				t.Errorf("secure %v: cut to %d bytes: %v", secure, n, err)
			}
		}
	}
}

// TestEarly claims two gigabytes and sends little: nothing large is allocated.
func TestEarly(t *testing.T) {
	h := Head{Tag: Message, Lengths: [4]uint32{41, 0, 0, 1 << 30}}
	p := h.appendPreamble(nil)
	p = append(p, fill(41, 0)...)
	p = binary.LittleEndian.AppendUint32(p, denc.CRC(^uint32(0), fill(41, 0)))
	p = append(p, fill(1000, 0)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := NewReader(bytes.NewReader(p))
	r.Grow()
	if _, err := r.Head(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Body(); err != io.ErrUnexpectedEOF {
		t.Fatalf("body: %v", err)
	}
	runtime.ReadMemStats(&after)
	allocated := after.TotalAlloc - before.TotalAlloc
	if allocated > 200<<10 {
		t.Errorf("%d bytes allocated for a length that did not come", allocated)
	}
}
