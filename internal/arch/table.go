package arch

// rule says what the packages a pattern covers may import.
type rule struct {
	// packages is a path from the module root; "x/..." covers x and all below.
	packages string
	// module lists the packages of this module that may be imported, as patterns
	// like packages. internal/... is open to all and not repeated.
	module []string
	// others lists the foreign modules, by prefix of the import path.
	others []string
	// pure packages decide and do nothing else (I3).
	pure bool
	// program is allowed to be package main (I4).
	program bool
}

// rules is the picture of the package documentation, one line for each edge
// worth arguing about. The first match decides, so the narrow rows come first.
var rules = []rule{
	{packages: "internal/thread", others: []string{"golang.org/x/sys/"}},
	{packages: "internal/..."},

	{packages: "devices/faultfs", module: []string{"devices"}, others: []string{"github.com/hanwen/go-fuse/v2/"}},
	{packages: "devices/...", module: []string{"devices/..."}, others: []string{"golang.org/x/sys/", "golang.org/x/time/", "github.com/ncw/directio"}},

	{packages: "allocator", module: []string{"devices"}, pure: true},
	{packages: "btree", module: []string{"devices"}},

	// Inside the engine the formats stand at the bottom: the log and the caches
	// know layouts, never the store that uses them. check reads stores from
	// outside, so that what it finds does not rest on the code that wrote it.
	{packages: "ebofs/layout", module: []string{"devices", "btree"}},
	{packages: "ebofs/wal", module: []string{"devices", "ebofs/layout"}},
	{packages: "ebofs/datacache", module: []string{"devices"}, others: []string{"github.com/dgraph-io/ristretto/v2"}},
	{packages: "ebofs/check", module: []string{"devices", "allocator", "btree", "ebofs", "ebofs/layout", "ebofs/wal"}},
	{packages: "ebofs/repair", module: []string{"devices", "btree", "ebofs", "ebofs/check", "ebofs/layout", "ebofs/wal"}},
	{packages: "ebofs/image", module: []string{"devices", "btree", "ebofs", "ebofs/check", "ebofs/layout", "ebofs/wal"}, others: []string{"github.com/klauspost/compress/"}},
	{packages: "ebofs/strict", module: []string{"devices", "devices/stripecheck", "ebofs/layout"}}, // for tests
	{packages: "ebofs/online", module: []string{"devices", "ebofs", "ebofs/check"}},
	{packages: "ebofs", module: []string{"devices", "allocator", "btree", "ebofs/layout", "ebofs/wal", "ebofs/datacache"}},

	// osd knows its own interface only; one adapter knows the engine.
	{packages: "osd/cls", module: []string{"cluster/ceph", "cluster/denc"}},
	{packages: "osd/cls/all", module: []string{"osd/cls/..."}},
	{packages: "osd/cls/clstest", module: []string{"osd", "osd/cls", "osd/memstore", "osd/ops", "cluster/ceph", "cluster/denc", "cluster/msg"}},
	{packages: "osd/cls/...", module: []string{"osd/cls", "cluster/ceph", "cluster/denc"}},
	{packages: "osd/ops", module: []string{"osd", "osd/cls", "osd/track", "cluster/ceph", "cluster/denc", "cluster/msg"}, others: []string{"github.com/OneOfOne/xxhash"}},
	{packages: "osd/daemon", module: []string{"osd", "osd/cls", "osd/cls/all", "osd/ops", "osd/pg", "osd/track", "cluster/ceph", "cluster/cephx", "cluster/conf", "cluster/crush", "cluster/denc", "cluster/monc", "cluster/msg", "cluster/msgr", "cluster/osdmap"}},
	{packages: "osd/pg", module: []string{"osd", "osd/ops", "osd/track", "cluster/ceph", "cluster/denc", "cluster/msg"}},
	{packages: "osd/pgfile", module: []string{"osd", "osd/pg", "cluster/ceph", "cluster/denc"}},
	{packages: "osd/track", module: []string{"cluster/ceph", "cluster/msg"}},
	{packages: "osd/captured", module: []string{"osd/cls/lock", "cluster/ceph", "cluster/denc", "cluster/golden", "cluster/msg"}}, // for tests
	{packages: "osd", module: nil},
	{packages: "osd/memstore", module: []string{"osd"}},
	{packages: "osd/storetest", module: []string{"osd"}},
	{packages: "osd/ebofsstore", module: []string{"osd", "ebofs", "ebofs/layout", "devices"}},

	// The cluster's vocabulary stands on the standard library alone.
	{packages: "cluster/denc", pure: true},
	{packages: "cluster/ceph", module: []string{"cluster/denc"}, pure: true},
	{packages: "cluster/monmap", module: []string{"cluster/ceph", "cluster/denc"}, pure: true},
	{packages: "cluster/crush", module: []string{"cluster/denc"}, pure: true},
	{packages: "cluster/osdmap", module: []string{"cluster/ceph", "cluster/crush", "cluster/denc"}, pure: true},
	{packages: "cluster/cephx", module: []string{"cluster/ceph", "cluster/denc"}},
	{packages: "cluster/conf", module: []string{"cluster/ceph"}},
	{packages: "cluster/msg", module: []string{"cluster/ceph", "cluster/denc"}, pure: true},
	// The messenger stands on its byte level; the network in memory is a transport
	// like another and knows nothing of it.
	{packages: "cluster/msgr/frame", module: []string{"cluster/ceph", "cluster/denc"}},
	{packages: "cluster/msgr/memnet", module: nil},
	{packages: "cluster/msgr", module: []string{"cluster/ceph", "cluster/denc", "cluster/cephx", "cluster/msg", "cluster/msgr/frame"}},
	{packages: "cluster/monc", module: []string{"cluster/ceph", "cluster/cephx", "cluster/denc", "cluster/monmap", "cluster/msg", "cluster/msgr"}},
	{packages: "cluster/mon", module: []string{"cluster/ceph", "cluster/cephx", "cluster/conf", "cluster/crush", "cluster/denc", "cluster/monmap", "cluster/msg", "cluster/msgr", "cluster/osdmap", "cluster/quorum"}},
	// The only package that knows the consensus engine.
	{packages: "cluster/quorum/quorumtest", module: []string{"cluster/quorum"}},
	{packages: "cluster/quorum/etcd", module: []string{"cluster/quorum"}, others: []string{"go.etcd.io/etcd/", "go.uber.org/zap"}},
	{packages: "cluster/quorum"},
	{packages: "cluster/golden"}, // reads cluster/testdata for tests

	{packages: "tools/ebofs", module: []string{"tools/..."}, program: true},
	// What Prometheus and the page are told is told by the library etcd uses, too.
	{packages: "tools/metrics", module: []string{"ebofs", "devices", "cluster/mon", "osd/daemon"}, others: []string{"github.com/prometheus/"}},
	{packages: "tools/status/fixture", module: []string{"tools/status", "ebofs", "devices", "cluster/ceph", "cluster/conf", "cluster/mon", "cluster/msg", "osd/daemon", "osd/track"}}, // for tests
	{packages: "tools/bench", module: []string{"tools/...", "ebofs/...", "allocator", "devices/..."},
		others: []string{"golang.org/x/sys/", "github.com/ncw/directio", "github.com/spf13/pflag"}},
	{packages: "tools/...", module: []string{"tools/...", "osd/...", "ebofs/...", "allocator", "btree", "devices/...", "cluster/..."},
		others: []string{"golang.org/x/sys/", "golang.org/x/term", "github.com/spf13/pflag"}},

	{packages: "fuzz/concurrent", module: []string{"fuzz/...", "osd", "devices/..."}, others: []string{"github.com/anishathalye/porcupine"}},
	{packages: "fuzz/mutate", module: []string{"fuzz/...", "tools/...", "ebofs/...", "allocator", "btree", "devices/..."}},
	{packages: "fuzz/differ", module: []string{"fuzz/...", "cluster/..."}},
	{packages: "fuzz/stock", module: []string{"fuzz/...", "tools/daemon", "tools/local"}},
	{packages: "fuzz/scale", module: []string{"fuzz/...", "tools/store", "ebofs/...", "devices/..."}, others: []string{"golang.org/x/sys/"}},
	{packages: "fuzz/interop", module: []string{"fuzz/stock", "tools/..."}, others: []string{"golang.org/x/sys/"}},
	{packages: "fuzz/...", module: []string{"fuzz/...", "osd/...", "ebofs/...", "allocator", "btree", "devices/..."},
		others: []string{"golang.org/x/sys/"}},
}

// testOnly is what test files of any package may use beyond its rule: suites and
// fakes of this module, by pattern, and the test libraries. Tests of package x
// may import x itself and what is below it anyway.
var testOnly = struct{ module, others []string }{
	module: []string{"devices/...", "ebofs/strict", "cluster/golden", "cluster/msgr/memnet"},
	others: []string{
		"github.com/cockroachdb/datadriven",
		"pgregory.net/rapid",
		"go.uber.org/goleak",
		"go.yaml.in/yaml/",        // alert rules
		"github.com/google/btree", // measured against
		"github.com/tidwall/btree",
		"golang.org/x/sys/",
	},
}

// testExtra is what the tests of single packages import besides: each a
// sentence about why the picture is better with it.
var testExtra = map[string][]string{
	"osd":                 {"osd/memstore", "osd/storetest"},
	"osd/memstore":        {"osd/storetest"},
	"tools/metrics":       {"tools/daemon", "tools/local", "cluster/ceph"},
	"osd/ebofsstore":      {"osd/storetest", "osd/memstore", "ebofs/check"},
	"osd/storetest":       {"osd/memstore"},
	"ebofs":               {"ebofs/check"},
	"cluster/msg":         {"cluster/monmap"},
	"cluster/mon":         {"cluster/monc"},
	"osd/daemon":          {"cluster/mon", "cluster/monmap", "cluster/quorum", "osd/ebofsstore", "osd/memstore", "ebofs", "devices"},
	"cluster/quorum":      {"cluster/quorum/quorumtest"},
	"cluster/quorum/etcd": {"cluster/quorum/quorumtest"},
	"osd/ops":             {"osd/memstore", "osd/captured", "osd/cls/all", "osd/cls/lock"},
	"osd/pg":              {"osd/memstore", "osd/captured", "osd/cls/all"},
	"osd/pgfile":          {"osd/memstore", "osd/ebofsstore", "ebofs"},
	// Classes are tested where they run: in requests that osd/ops carries out.
	"osd/cls/all":      {"osd/cls/clstest", "osd/captured", "cluster/ceph"},
	"osd/cls/lock":     {"osd/cls/clstest"},
	"osd/cls/rbd":      {"osd/cls/clstest"},
	"osd/cls/refcount": {"osd/cls/clstest"},
	"osd/cls/version":  {"osd/cls/clstest"},
}
