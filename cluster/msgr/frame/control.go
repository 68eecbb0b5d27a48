package frame

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

// The payloads of control frames are field sequences without a version. Each
// type has Encode, and a Decode function that refuses what is left over.

// HelloBody introduces the sender and tells the peer how it is seen.
type HelloBody struct {
	Type ceph.EntityType
	Peer ceph.Addr // as the sender reaches or sees the receiver
}

// Encode appends the payload.
func (b HelloBody) Encode(e *denc.Encoder) {
	e.U8(uint8(b.Type))
	b.Peer.Encode(e)
}

// DecodeHello reads a HELLO.
func DecodeHello(p []byte) (HelloBody, error) {
	d := denc.NewDecoder(p)
	b := HelloBody{ceph.EntityType(d.U8()), ceph.DecodeAddr(d)}
	return b, d.Finish()
}

// AuthRequestBody asks for one authentication method.
type AuthRequestBody struct {
	Method  uint32
	Modes   []uint32 // of the connection, best first
	Payload []byte   // part of the frame
}

// Encode appends the payload.
func (b AuthRequestBody) Encode(e *denc.Encoder) {
	e.U32(b.Method)
	putU32s(e, b.Modes)
	e.Blob(b.Payload)
}

// DecodeAuthRequest reads an AUTH_REQUEST.
func DecodeAuthRequest(p []byte) (AuthRequestBody, error) {
	d := denc.NewDecoder(p)
	b := AuthRequestBody{d.U32(), u32s(d), d.Bytes()}
	return b, d.Finish()
}

// AuthBadMethodBody refuses a method, or the identity that was to be proved.
type AuthBadMethodBody struct {
	Method  uint32
	Result  ceph.Errno
	Methods []uint32 // allowed ones
	Modes   []uint32 // allowed ones
}

// Encode appends the payload.
func (b AuthBadMethodBody) Encode(e *denc.Encoder) {
	e.U32(b.Method)
	e.I32(int32(b.Result))
	putU32s(e, b.Methods)
	putU32s(e, b.Modes)
}

// DecodeAuthBadMethod reads an AUTH_BAD_METHOD.
func DecodeAuthBadMethod(p []byte) (AuthBadMethodBody, error) {
	d := denc.NewDecoder(p)
	b := AuthBadMethodBody{d.U32(), ceph.Errno(d.I32()), u32s(d), u32s(d)}
	return b, d.Finish()
}

// AuthMoreBody is AUTH_REPLY_MORE and AUTH_REQUEST_MORE.
type AuthMoreBody struct {
	Payload []byte // part of the frame
}

// Encode appends the payload.
func (b AuthMoreBody) Encode(e *denc.Encoder) { e.Blob(b.Payload) }

// DecodeAuthMore reads either.
func DecodeAuthMore(p []byte) (AuthMoreBody, error) {
	d := denc.NewDecoder(p)
	b := AuthMoreBody{d.Bytes()}
	return b, d.Finish()
}

// AuthDoneBody ends the authentication.
type AuthDoneBody struct {
	GlobalID uint64
	Mode     uint32
	Payload  []byte // part of the frame
}

// Encode appends the payload.
func (b AuthDoneBody) Encode(e *denc.Encoder) {
	e.U64(b.GlobalID)
	e.U32(b.Mode)
	e.Blob(b.Payload)
}

// DecodeAuthDone reads an AUTH_DONE.
func DecodeAuthDone(p []byte) (AuthDoneBody, error) {
	d := denc.NewDecoder(p)
	b := AuthDoneBody{d.U64(), d.U32(), d.Bytes()}
	return b, d.Finish()
}

// SignatureBytes is the length of an AUTH_SIGNATURE.
const SignatureBytes = 32

// FlagLossy in an IDENT: what I send may be dropped.
const FlagLossy = 1

// ClientIdentBody opens a session.
type ClientIdentBody struct {
	Addrs     ceph.AddrVec
	Target    ceph.Addr // as dialled
	GID       int64
	GlobalSeq uint64
	Supported uint64
	Required  uint64
	Flags     uint64
	Cookie    uint64
}

// Encode appends the payload.
func (b ClientIdentBody) Encode(e *denc.Encoder) {
	b.Addrs.Encode(e)
	b.Target.Encode(e)
	e.I64(b.GID)
	e.U64(b.GlobalSeq)
	e.U64(b.Supported)
	e.U64(b.Required)
	e.U64(b.Flags)
	e.U64(b.Cookie)
}

// DecodeClientIdent reads a CLIENT_IDENT.
func DecodeClientIdent(p []byte) (ClientIdentBody, error) {
	d := denc.NewDecoder(p)
	b := ClientIdentBody{ceph.DecodeAddrVec(d), ceph.DecodeAddr(d), d.I64(), d.U64(), d.U64(), d.U64(), d.U64(), d.U64()}
	return b, d.Finish()
}

// ServerIdentBody accepts a session.
type ServerIdentBody struct {
	Addrs     ceph.AddrVec
	GID       int64
	GlobalSeq uint64
	Supported uint64
	Required  uint64
	Flags     uint64
	Cookie    uint64
}

// Encode appends the payload.
func (b ServerIdentBody) Encode(e *denc.Encoder) {
	b.Addrs.Encode(e)
	e.I64(b.GID)
	e.U64(b.GlobalSeq)
	e.U64(b.Supported)
	e.U64(b.Required)
	e.U64(b.Flags)
	e.U64(b.Cookie)
}

// DecodeServerIdent reads a SERVER_IDENT.
func DecodeServerIdent(p []byte) (ServerIdentBody, error) {
	d := denc.NewDecoder(p)
	b := ServerIdentBody{ceph.DecodeAddrVec(d), d.I64(), d.U64(), d.U64(), d.U64(), d.U64(), d.U64()}
	return b, d.Finish()
}

// ReconnectBody continues a session on a new connection.
type ReconnectBody struct {
	Addrs        ceph.AddrVec
	ClientCookie uint64 // of who opened the session first
	ServerCookie uint64 // of who accepted it first
	GlobalSeq    uint64
	ConnectSeq   uint64
	MessageSeq   uint64 // last one received
}

// Encode appends the payload.
func (b ReconnectBody) Encode(e *denc.Encoder) {
	b.Addrs.Encode(e)
	e.U64(b.ClientCookie)
	e.U64(b.ServerCookie)
	e.U64(b.GlobalSeq)
	e.U64(b.ConnectSeq)
	e.U64(b.MessageSeq)
}

// DecodeReconnect reads a SESSION_RECONNECT.
func DecodeReconnect(p []byte) (ReconnectBody, error) {
	d := denc.NewDecoder(p)
	b := ReconnectBody{ceph.DecodeAddrVec(d), d.U64(), d.U64(), d.U64(), d.U64(), d.U64()}
	return b, d.Finish()
}

// U64Body is a number: of IDENT_MISSING_FEATURES, SESSION_RETRY,
// SESSION_RETRY_GLOBAL, SESSION_RECONNECT_OK and ACK.
type U64Body uint64

// Encode appends the payload.
func (b U64Body) Encode(e *denc.Encoder) { e.U64(uint64(b)) }

// DecodeU64 reads any of them.
func DecodeU64(p []byte) (uint64, error) {
	d := denc.NewDecoder(p)
	v := d.U64()
	return v, d.Finish()
}

// ResetBody tells the peer of a session to forget it: all of it, or only what it
// has received.
type ResetBody bool

// Encode appends the payload.
func (b ResetBody) Encode(e *denc.Encoder) { e.Bool(bool(b)) }

// DecodeReset reads a SESSION_RESET.
func DecodeReset(p []byte) (full bool, err error) {
	d := denc.NewDecoder(p)
	full = d.Bool()
	return full, d.Finish()
}

// TimeBody is the clock of who sent a KEEPALIVE2, and its echo.
type TimeBody ceph.Time

// Encode appends the payload.
func (b TimeBody) Encode(e *denc.Encoder) { ceph.Time(b).Encode(e) }

// DecodeTime reads a KEEPALIVE2 or its acknowledgement.
func DecodeTime(p []byte) (ceph.Time, error) {
	d := denc.NewDecoder(p)
	t := ceph.DecodeTime(d)
	return t, d.Finish()
}

func putU32s(e *denc.Encoder, v []uint32) { denc.PutSlice(e, v, (*denc.Encoder).U32) }

func u32s(d *denc.Decoder) []uint32 { return denc.Slice(d, 4, (*denc.Decoder).U32) }
