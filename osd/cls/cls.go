package cls

import (
	"fmt"
	"maps"
	"slices"

	"ebofs/cluster/ceph"
)

// Context is the object a method works on, as the request has made it so far. A
// missing object reads as ENOENT and is created by what writes.
type Context interface {
	// Object returns the object's name.
	Object() ceph.HObject
	// Caller returns who sent the request, and from where.
	Caller() (ceph.EntityID, ceph.Addr)
	// Now is the time of the request, by this OSD's clock.
	Now() ceph.Time
	// Exists reports whether the object is there.
	Exists() bool

	// Stat returns size and time of last change.
	Stat() (size uint64, mtime ceph.Time, err error)
	// Read returns n bytes from off, fewer at the end; n = 0 is all of it. They are
	// the caller's.
	Read(off, n uint64) ([]byte, error)
	// Attr returns one attr; ENODATA if there is none.
	Attr(name string) ([]byte, error)
	// Attrs returns all of them.
	Attrs() (map[string][]byte, error)
	// OmapHeader returns the header, empty if there is none.
	OmapHeader() ([]byte, error)
	// OmapGet returns one value; ENOENT if there is none.
	OmapGet(key string) ([]byte, error)
	// OmapVals returns up to max pairs behind the key after that begin with
	// prefix, in order, and whether there are more.
	OmapVals(after, prefix string, max int) ([]Pair, bool, error)
	// Watchers returns how many clients watch the object.
	Watchers() int

	// Create makes the object; EEXIST if it is there and excl is set.
	Create(excl bool) error
	// Remove removes it.
	Remove() error
	// Write stores p at off, WriteFull as the whole content.
	Write(off uint64, p []byte) error
	WriteFull(p []byte) error
	// Truncate cuts or extends to size.
	Truncate(size uint64) error
	// Zero makes a range read as zeros.
	Zero(off, n uint64) error
	// SetAttr and RmAttr change one attr.
	SetAttr(name string, value []byte) error
	RmAttr(name string) error
	// OmapSet, OmapRm, OmapClear and SetOmapHeader change the map.
	OmapSet(kv map[string][]byte) error
	OmapRm(keys ...string) error
	OmapClear() error
	SetOmapHeader(p []byte) error
}

// Pair is a key of the map and its value.
type Pair struct {
	Key   string
	Value []byte
}

// Method is one method of a class. Call takes the input apart and returns the
// output; a positive ceph.Errno as error is success with that result.
type Method struct {
	Reads, Writes bool
	Call          func(c Context, in []byte) (out []byte, err error)
}

// Class is methods by name.
type Class map[string]Method

var classes = map[string]Class{}

// Register makes a class known. It is for init functions: a name registered twice
// panics.
func Register(name string, c Class) {
	if _, twice := classes[name]; twice {
		panic(fmt.Sprintf("cls: class %q registered twice", name))
	}
	classes[name] = c
}

// absent are classes that an OSD of 16.2 loads and this one does not have.
var absent = []string{"2pc_queue", "cas", "cephfs", "cmpomap", "fifo", "hello", "journal", "log", "numops", "otp", "queue", "rgw", "rgw_gc", "timeindex", "user"}

// Find returns a method; EOPNOTSUPP if there is none, which is what clients probe
// for, and EPERM if its class is not one that an OSD would load.
func Find(class, method string) (Method, error) {
	m, ok := classes[class][method]
	switch {
	case ok:
		return m, nil
	case classes[class] == nil && !slices.Contains(absent, class):
		return Method{}, ceph.EPERM
	}
	return Method{}, ceph.EOPNOTSUPP
}

// Each calls do with every method of every class, in order of their names.
func Each(do func(class, method string, m Method)) {
	for _, c := range slices.Sorted(maps.Keys(classes)) {
		for _, m := range slices.Sorted(maps.Keys(classes[c])) {
			do(c, m, classes[c][m])
		}
	}
}
