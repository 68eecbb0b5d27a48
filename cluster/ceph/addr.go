package ceph

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"ebofs/cluster/denc"
)

// AddrType says which protocol an address is for.
type AddrType uint32

// Address types, as they travel.
const (
	AddrNone   AddrType = 0
	AddrLegacy AddrType = 1 // messenger v1, which is not spoken here
	AddrMsgr2  AddrType = 2
	AddrAny    AddrType = 3
)

var addrNames = [...]string{"-", "v1", "v2", "any"}

func (t AddrType) String() string {
	if int(t) < len(addrNames) {
		return addrNames[t]
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// Addr is an address of an entity: where it listens, and a nonce that tells two
// lives of it on the same port apart. Equal addresses are equal bytes: type and
// nonce count. (entity_addr_t.)
type Addr struct {
	Type  AddrType
	Nonce uint32
	IP    netip.AddrPort // not valid: a blank address

	flow uint32 // IPv6 flow label and scope, kept so that bytes survive
	zone uint32
	size uint8 // of the sockaddr, where it is not the family's usual one
}

const (
	familyNone = 0
	familyIP4  = 2
	familyIP6  = 10

	sockaddr4 = 16
	sockaddr6 = 28
)

// MsgrAddr returns the messenger v2 address of ip with a nonce.
func MsgrAddr(ip netip.AddrPort, nonce uint32) Addr {
	return Addr{Type: AddrMsgr2, Nonce: nonce, IP: ip}
}

// IsBlank reports whether a names no place.
func (a Addr) IsBlank() bool { return !a.IP.IsValid() }

// String returns TYPE:IP:PORT/NONCE, as Ceph prints it.
func (a Addr) String() string {
	if a.IsBlank() {
		if a.Type == AddrNone {
			return "-"
		}
		return fmt.Sprintf("%v:-/%d", a.Type, a.Nonce)
	}
	return fmt.Sprintf("%v:%v/%d", a.Type, a.IP, a.Nonce)
}

// ParseAddr reads what String prints; type and nonce may be left out and are
// then v2 and 0.
func ParseAddr(s string) (Addr, error) {
	a := Addr{Type: AddrMsgr2}
	rest := s
	if s == "-" {
		return Addr{}, nil
	}
	for i, name := range addrNames[1:] {
		if r, ok := strings.CutPrefix(rest, name+":"); ok {
			a.Type, rest = AddrType(i+1), r
			break
		}
	}
	if r, nonce, ok := strings.Cut(rest, "/"); ok {
		n, err := strconv.ParseUint(nonce, 10, 32)
		if err != nil {
			return Addr{}, fmt.Errorf("address %q: nonce %q is not a number", s, nonce)
		}
		a.Nonce, rest = uint32(n), r
	}
	if rest == "-" {
		return a, nil
	}
	ip, err := netip.ParseAddrPort(rest)
	if err != nil {
		return Addr{}, fmt.Errorf("address %q: want IP:PORT, as v2:10.0.0.1:3300/0", s)
	}
	a.IP = ip
	return a, nil
}

// sockaddr appends the socket address as it travels: family little-endian, port
// and address as on the network.
func (a Addr) sockaddr(p []byte) []byte {
	ip := a.IP.Addr()
	switch {
	case !a.IP.IsValid():
		p = append(p, make([]byte, sockaddr6)...)
		return p[:len(p)-sockaddr6+int(a.size)]
	case ip.Is4():
		p = append(p, familyIP4, 0)
		p = binary.BigEndian.AppendUint16(p, a.IP.Port())
		b := ip.As4()
		p = append(p, b[:]...)
		return append(p, make([]byte, 8)...)
	default:
		p = append(p, familyIP6, 0)
		p = binary.BigEndian.AppendUint16(p, a.IP.Port())
		p = binary.LittleEndian.AppendUint32(p, a.flow)
		b := ip.As16()
		p = append(p, b[:]...)
		return binary.LittleEndian.AppendUint32(p, a.zone)
	}
}

// Encode appends the modern form: marker, struct v1.
func (a Addr) Encode(e *denc.Encoder) {
	e.U8(1)
	m := e.Begin(1, 1)
	e.U32(uint32(a.Type))
	e.U32(a.Nonce)
	var buf [sockaddr6]byte
	e.Blob(a.sockaddr(buf[:0]))
	e.End(m)
}

// DecodeAddr reads an address in the modern form. The legacy form, which peers
// of the last ten years do not send, is an error.
func DecodeAddr(d *denc.Decoder) Addr {
	if m := d.U8(); m != 1 && d.Err() == nil {
		d.Failf("address with marker %d, want 1", m)
	}
	return decodeAddrBody(d)
}

func decodeAddrBody(d *denc.Decoder) (a Addr) {
	s := d.Begin(1)
	a.Type, a.Nonce = AddrType(d.U32()), d.U32()
	p := d.Bytes()
	d.End(s)
	if d.Err() != nil {
		return Addr{}
	}
	family := uint16(familyNone)
	if len(p) >= 2 {
		family = binary.LittleEndian.Uint16(p)
	}
	zero := func(p []byte) bool { return bytes.Count(p, []byte{0}) == len(p) }
	switch {
	case family == familyNone && len(p) <= sockaddr6 && zero(p):
		a.size = uint8(len(p))
	case family == familyIP4 && len(p) == sockaddr4 && zero(p[8:]):
		a.IP = netip.AddrPortFrom(netip.AddrFrom4([4]byte(p[4:8])), binary.BigEndian.Uint16(p[2:]))
	case family == familyIP6 && len(p) == sockaddr6:
		a.IP = netip.AddrPortFrom(netip.AddrFrom16([16]byte(p[8:24])), binary.BigEndian.Uint16(p[2:]))
		a.flow, a.zone = binary.LittleEndian.Uint32(p[4:]), binary.LittleEndian.Uint32(p[24:])
	default:
		d.Failf("socket address of family %d in %d bytes", family, len(p))
		return Addr{}
	}
	return a
}

// CompareMemory orders addresses as the bytes Ceph keeps of them in memory:
// type, nonce, then the socket address. It decides who wins when two peers dial
// each other at once.
func (a Addr) CompareMemory(b Addr) int {
	head := func(a Addr) []byte {
		p := binary.LittleEndian.AppendUint32(nil, uint32(a.Type))
		return a.sockaddr(binary.LittleEndian.AppendUint32(p, a.Nonce))
	}
	return bytes.Compare(head(a), head(b))
}

// Compare is a total order: of type, nonce, address.
func (a Addr) Compare(b Addr) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Nonce, b.Nonce), a.IP.Compare(b.IP))
}

// AddrVec is all addresses of an entity. (entity_addrvec_t.)
type AddrVec []Addr

// Encode appends marker, count and addresses.
func (v AddrVec) Encode(e *denc.Encoder) {
	e.U8(2)
	denc.PutSlice(e, v, func(e *denc.Encoder, a Addr) { a.Encode(e) })
}

// DecodeAddrVec reads an AddrVec; a single modern address in its place is taken.
func DecodeAddrVec(d *denc.Decoder) AddrVec {
	switch m := d.U8(); m {
	case 1:
		if a := decodeAddrBody(d); d.Err() == nil {
			return AddrVec{a}
		}
	case 2:
		return denc.Slice(d, 15, DecodeAddr)
	default:
		d.Failf("address vector with marker %d, want 2", m)
	}
	return nil
}

// Msgr2 returns the first messenger v2 address, blank if there is none.
func (v AddrVec) Msgr2() Addr {
	for _, a := range v {
		if a.Type == AddrMsgr2 {
			return a
		}
	}
	return Addr{}
}

// Has reports whether v contains exactly a.
func (v AddrVec) Has(a Addr) bool { return slices.Contains(v, a) }

// Equal reports whether both are the same addresses in the same order.
func (v AddrVec) Equal(o AddrVec) bool { return slices.Equal(v, o) }

// String prints one address as it is and several in brackets.
func (v AddrVec) String() string {
	if len(v) == 1 {
		return v[0].String()
	}
	var s []string
	for _, a := range v {
		s = append(s, a.String())
	}
	return "[" + strings.Join(s, ",") + "]"
}

// ParseAddrVec reads what String prints.
func ParseAddrVec(s string) (AddrVec, error) {
	inner, ok := strings.CutPrefix(s, "[")
	if ok {
		if inner, ok = strings.CutSuffix(inner, "]"); !ok {
			return nil, fmt.Errorf("addresses %q: no closing bracket", s)
		}
		if inner == "" {
			return nil, nil
		}
		// An IPv6 address brings brackets and colons of its own, no commas.
		s = inner
	}
	var v AddrVec
	for _, one := range strings.Split(s, ",") {
		a, err := ParseAddr(strings.TrimSpace(one))
		if err != nil {
			return nil, err
		}
		v = append(v, a)
	}
	return v, nil
}
