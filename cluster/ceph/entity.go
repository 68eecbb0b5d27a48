package ceph

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"ebofs/cluster/denc"
)

// EntityType says what an entity is.
type EntityType uint8

// Entity types, as they travel.
const (
	TypeMon    EntityType = 1
	TypeMDS    EntityType = 2
	TypeOSD    EntityType = 4
	TypeClient EntityType = 8
	TypeMgr    EntityType = 16
	TypeAuth   EntityType = 32 // owns no connection: names the ticket service
)

var typeNames = map[EntityType]string{
	TypeMon: "mon", TypeMDS: "mds", TypeOSD: "osd", TypeClient: "client", TypeMgr: "mgr", TypeAuth: "auth",
}

// String returns the name people write: "osd", or "type 7".
func (t EntityType) String() string {
	if s, ok := typeNames[t]; ok {
		return s
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// ParseEntityType is the inverse of String for known types.
func ParseEntityType(s string) (EntityType, bool) {
	for t, name := range typeNames {
		if name == s {
			return t, true
		}
	}
	return 0, false
}

// EntityID is an entity as sessions number it: osd.3, client.4123. The number of
// a client or manager is its global id, of a monitor its rank. (entity_name_t,
// 9 bytes.)
type EntityID struct {
	Type EntityType
	Num  int64
}

// String returns TYPE.NUM; a negative number is written as "?".
func (n EntityID) String() string {
	if n.Num < 0 {
		return n.Type.String() + ".?"
	}
	return n.Type.String() + "." + strconv.FormatInt(n.Num, 10)
}

// Compare orders by type, then number.
func (n EntityID) Compare(o EntityID) int {
	return cmp.Or(cmp.Compare(n.Type, o.Type), cmp.Compare(n.Num, o.Num))
}

// Encode appends the nine bytes.
func (n EntityID) Encode(e *denc.Encoder) {
	e.U8(uint8(n.Type))
	e.I64(n.Num)
}

// DecodeEntityID reads an EntityID.
func DecodeEntityID(d *denc.Decoder) EntityID {
	return EntityID{EntityType(d.U8()), d.I64()}
}

// EntityName is an entity as people and keyrings name it: client.admin, osd.3,
// mon.a. (EntityName; the type takes four bytes here.)
type EntityName struct {
	Type EntityType
	ID   string
}

// ParseEntityName reads TYPE.ID.
func ParseEntityName(s string) (EntityName, error) {
	kind, id, ok := strings.Cut(s, ".")
	t, known := ParseEntityType(kind)
	if !ok || !known || id == "" && t != TypeMon { // "mon." is all monitors
		return EntityName{}, fmt.Errorf("entity name %q: want TYPE.ID, where TYPE is mon, osd, mds, mgr or client", s)
	}
	return EntityName{t, id}, nil
}

// String returns TYPE.ID.
func (n EntityName) String() string { return n.Type.String() + "." + n.ID }

// Compare orders by type, then id.
func (n EntityName) Compare(o EntityName) int {
	return cmp.Or(cmp.Compare(n.Type, o.Type), strings.Compare(n.ID, o.ID))
}

// Encode appends type and id.
func (n EntityName) Encode(e *denc.Encoder) {
	e.U32(uint32(n.Type))
	e.Str(n.ID)
}

// DecodeEntityName reads an EntityName.
func DecodeEntityName(d *denc.Decoder) EntityName {
	t := d.U32()
	if t > 0xff {
		d.Failf("entity type %d", t)
	}
	return EntityName{EntityType(t), d.Str()}
}
