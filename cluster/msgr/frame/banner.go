package frame

import (
	"encoding/binary"
	"fmt"
	"io"
)

const (
	bannerMagic = "ceph v2\n"
	// BannerBytes is how long our banner is.
	BannerBytes = len(bannerMagic) + 2 + 16
	// maxBanner bounds the payload of a peer's banner: two masks, and room for
	// what later releases append.
	maxBanner = 256

	revision1 = 1 << 0 // messenger v2.1
)

// AppendBanner appends our banner: revision 1 supported, nothing required. We
// could require it; Ceph does not, and refuses later just the same.
func AppendBanner(p []byte) []byte {
	p = append(p, bannerMagic...)
	p = binary.LittleEndian.AppendUint16(p, 16)
	p = binary.LittleEndian.AppendUint64(p, revision1)
	return binary.LittleEndian.AppendUint64(p, 0)
}

// Banner reads the peer's banner and checks that it speaks messenger v2.1 and
// demands no more.
func (r *Reader) Banner() error {
	var p [maxBanner]byte
	head := p[:len(bannerMagic)+2]
	if err := r.full(head); err != nil {
		return err
	}
	if string(head[:len(bannerMagic)]) != bannerMagic {
		return fmt.Errorf("banner %q, want %q: %w", head[:len(bannerMagic)], bannerMagic, ErrIncompatible)
	}
	n := int(binary.LittleEndian.Uint16(head[len(bannerMagic):]))
	if n < 16 || n > maxBanner {
		return bad("banner: payload of %d bytes, want 16 to %d", n, maxBanner)
	}
	payload := p[:n]
	if err := r.full(payload); err != nil {
		return err
	}
	supported, required := binary.LittleEndian.Uint64(payload), binary.LittleEndian.Uint64(payload[8:])
	if supported&revision1 == 0 {
		return fmt.Errorf("banner: peer lacks messenger v2.1: %w", ErrIncompatible)
	}
	if more := required &^ revision1; more != 0 {
		return fmt.Errorf("banner: peer requires %#x, which is not known here: %w", more, ErrIncompatible)
	}
	return nil
}

// unexpected makes an end of the stream inside a frame say so.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
