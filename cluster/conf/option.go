package conf

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is what the value of an option is.
type Kind uint8

// The kinds of options.
const (
	String  Kind = iota
	Bool         // true, false, yes, no, on, off, 1, 0
	Int          // decimal
	Float        // decimal
	Size         // bytes: 4096, 4K, 1GiB, 1G (binary, as in Ceph)
	Seconds      // 30, 1.5, or 30s, 5m, 2h
	Address      // of an endpoint, "127.0.0.1:6800"
)

// Option is one option that a daemon of ours knows.
type Option struct {
	Name    string
	Kind    Kind
	Default string
	Help    string   // one line
	Who     []string // types of daemons: mon, osd; none: all, clients too
	Secret  bool
	// Live: a change while the daemon runs has an effect.
	Live bool
	// Choices, if any, are the only values.
	Choices []string
	// Client: read by clients, or by daemons of Ceph's, and not by ours. Known, so that
	// a shared file gives no warnings.
	Client bool
}

// options is every option, by name.
var options = []Option{
	{Name: "admin_socket", Default: "/run/ceph/$cluster-$name.asok", Help: "where the admin socket is"},
	{Name: "auth_cluster_required", Default: "cephx", Help: "how daemons prove who they are among each other"},
	{Name: "auth_service_required", Default: "cephx", Help: "what daemons ask of clients"},
	{Name: "cluster_addr", Kind: Address, Default: "", Help: "address for other OSDs; default: public_addr", Who: []string{"osd"}},
	{Name: "crush_location", Default: "", Help: "place in the CRUSH map, as root=default host=a", Who: []string{"osd"}},
	{Name: "debug_mon", Default: "1/5", Help: "log level, 0 to 20", Who: []string{"mon"}, Live: true},
	{Name: "debug_osd", Default: "1/5", Help: "log level, 0 to 20", Who: []string{"osd"}, Live: true},
	{Name: "ebofs_etcd_endpoints", Default: "", Help: "an etcd cluster of its own for the monitors' state, as http://a:2379,http://b:2379; default: members inside the monitors", Who: []string{"mon"}},
	{Name: "ebofs_http_addr", Default: "", Help: "where the status page and /metrics are served, as 127.0.0.1:9283, or none; default: monitors there, OSDs at 127.0.0.1:9300 + id", Who: []string{"mon", "osd"}},
	{Name: "ebofs_mon_peers", Default: "", Help: "where the monitors' stores meet, as a=10.0.0.1:3380,b=10.0.0.2:3380; default: one monitor alone", Who: []string{"mon"}},
	{Name: "ebofs_osd_defrag_bytes_per_second", Kind: Size, Default: "32M", Help: "how much is moved for that at most; 0: no limit but that it gives way to clients", Who: []string{"osd"}},
	{Name: "ebofs_osd_defrag_percent", Kind: Int, Default: "0", Help: "bring free space together, in the background, when nearly so many percent of it lie outside of whole stripes; 0: leave it", Who: []string{"osd"}},
	{Name: "ebofs_osd_device", Default: "", Help: "device or image of the store; default: $osd_data/block", Who: []string{"osd"}},
	{Name: "ebofs_osd_discard_bytes_per_second", Kind: Size, Default: "0", Help: "discard what is freed, so much a second at most; 0: do not, ebofs device trim does", Who: []string{"osd"}},
	{Name: "ebofs_osd_log_device", Default: "", Help: "device of the store's log, if mkfs put it on one of its own", Who: []string{"osd"}},
	{Name: "ebofs_osd_scrub_bytes_per_second", Kind: Size, Default: "64M", Help: "how much is read for scrubs", Who: []string{"osd"}},
	{Name: "fsid", Default: "", Help: "id of the cluster"},
	{Name: "host", Default: "$host", Help: "name of this machine"},
	{Name: "key", Default: "", Help: "secret key of the entity, instead of a keyring", Secret: true},
	{Name: "keyfile", Default: "", Help: "file with the secret key of the entity"},
	{Name: "keyring", Default: "/etc/ceph/$cluster.$name.keyring,/etc/ceph/$cluster.keyring,/etc/ceph/keyring,/etc/ceph/keyring.bin", Help: "keyrings to look in, the first that exists counts; daemons look in their data directory first"},
	{Name: "log_file", Default: "", Help: "file for the log; default: stderr"},
	{Name: "mon_allow_pool_delete", Kind: Bool, Default: "false", Help: "allow pools to be removed", Live: true},
	{Name: "mon_allow_pool_size_one", Kind: Bool, Default: "false", Help: "allow pools with a single copy", Live: true},
	{Name: "mon_data", Default: "/var/lib/ceph/mon/$cluster-$id", Help: "directory of the monitor's state", Who: []string{"mon"}},
	{Name: "mon_host", Default: "", Help: "addresses of the monitors"},
	{Name: "mon_initial_members", Default: "", Help: "names of the monitors of a new cluster"},
	{Name: "mon_osd_report_timeout", Kind: Seconds, Default: "900", Help: "how long an OSD may be silent before it is marked down", Who: []string{"mon"}},
	{Name: "mon_warn_on_pool_no_app", Kind: Bool, Default: "true", Help: "warn of pools with objects that no application is named for", Live: true},
	{Name: "mon_warn_on_pool_pg_num_not_power_of_two", Kind: Bool, Default: "true", Help: "warn of pools whose PGs hold unequal shares", Live: true},
	{Name: "mon_warn_on_too_few_osds", Kind: Bool, Default: "true", Help: "warn of fewer OSDs than a new pool has copies", Live: true},
	{Name: "mon_warn_on_pool_no_redundancy", Kind: Bool, Default: "true", Help: "warn of pools with a single copy", Live: true},
	{Name: "ms_cluster_mode", Default: "secure crc", Help: "modes of connections among daemons"},
	{Name: "ms_connection_idle_timeout", Kind: Seconds, Default: "900", Help: "after how long an idle connection is closed"},
	{Name: "ms_mon_service_mode", Default: "secure crc", Help: "modes that monitors offer"},
	{Name: "ms_service_mode", Default: "crc secure", Help: "modes that daemons offer"},
	{Name: "osd_crush_chooseleaf_type", Kind: Int, Default: "1", Help: "failure domain of the first rule: 0 osd, 1 host"},
	{Name: "osd_crush_update_on_start", Kind: Bool, Default: "true", Help: "an OSD that starts puts itself into the CRUSH map", Who: []string{"osd"}},
	{Name: "osd_deep_scrub_interval", Kind: Seconds, Default: "604800", Help: "how often all bytes of a PG are read and checked; up to half as much is added", Who: []string{"osd"}},
	{Name: "osd_data", Default: "/var/lib/ceph/osd/$cluster-$id", Help: "directory of the OSD: keyring, block", Who: []string{"osd"}},
	{Name: "osd_memory_target", Kind: Size, Default: "1G", Help: "memory of an OSD", Who: []string{"osd"}},
	{Name: "osd_op_complaint_time", Kind: Seconds, Default: "30", Help: "from when on a request is slow", Who: []string{"osd"}},
	{Name: "osd_op_history_duration", Kind: Seconds, Default: "600", Help: "for how long the slowest requests are remembered", Who: []string{"osd"}},
	{Name: "osd_op_history_size", Kind: Int, Default: "20", Help: "how many of the slowest requests are remembered", Who: []string{"osd"}},
	{Name: "osd_op_history_slow_op_size", Kind: Int, Default: "20", Help: "how many of the requests are remembered that took osd_op_history_slow_op_threshold", Who: []string{"osd"}},
	{Name: "osd_op_history_slow_op_threshold", Kind: Seconds, Default: "10", Help: "from when on a request is remembered as slow", Who: []string{"osd"}},
	{Name: "osd_pool_default_min_size", Kind: Int, Default: "0", Help: "copies without which a pool takes no writes; 0: from size"},
	{Name: "osd_pool_default_pg_autoscale_mode", Default: "off", Help: "autoscaling of PGs; only off is known", Choices: []string{"on", "off", "warn"}},
	{Name: "osd_pool_default_pg_num", Kind: Int, Default: "32", Help: "PGs of a new pool"},
	{Name: "osd_pool_default_size", Kind: Int, Default: "3", Help: "copies of a new pool"},
	{Name: "osd_scrub_min_interval", Kind: Seconds, Default: "86400", Help: "how often a PG is scrubbed; up to half as much is added", Who: []string{"osd"}},
	{Name: "pid_file", Default: "", Help: "file for the process id"},
	{Name: "public_addr", Kind: Address, Default: "", Help: "address for clients"},
	{Name: "public_network", Default: "", Help: "network of public_addr, as 10.0.0.0/24"},
	{Name: "run_dir", Default: "/run/ceph", Help: "directory of sockets"},

	{Name: "auth_client_required", Client: true}, {Name: "debug_ms", Client: true}, {Name: "ms_client_mode", Client: true},
	{Name: "ms_mon_client_mode", Client: true}, {Name: "ms_mon_cluster_mode", Client: true},
	{Name: "cluster_network", Client: true}, {Name: "cephx_cluster_require_signatures", Client: true},
	{Name: "cephx_require_signatures", Client: true}, {Name: "cephx_service_require_signatures", Client: true},
	{Name: "cephx_sign_messages", Client: true}, {Name: "client_mount_timeout", Client: true},
	{Name: "err_to_stderr", Client: true}, {Name: "log_to_stderr", Client: true}, {Name: "log_to_file", Client: true},
	{Name: "mon_client_hunt_interval", Client: true}, {Name: "ms_bind_ipv4", Client: true}, {Name: "ms_bind_ipv6", Client: true},
	{Name: "ms_bind_port_max", Kind: Int, Default: "7300", Help: "last port that an OSD takes", Who: []string{"osd"}},
	{Name: "ms_bind_port_min", Kind: Int, Default: "6800", Help: "first port that an OSD takes", Who: []string{"osd"}},
	{Name: "objecter_inflight_ops", Client: true}, {Name: "objecter_inflight_op_bytes", Client: true},
	{Name: "rados_mon_op_timeout", Client: true}, {Name: "rados_osd_op_timeout", Client: true},
	{Name: "rbd_cache", Client: true}, {Name: "rbd_cache_size", Client: true}, {Name: "rbd_default_features", Client: true},
	{Name: "rbd_default_order", Client: true}, {Name: "rbd_default_pool", Client: true},
}

func init() {
	slices.SortFunc(options, func(a, b Option) int { return strings.Compare(a.Name, b.Name) })
}

// Options returns every option, by name.
func Options() []Option { return slices.Clone(options) }

// Lookup returns the option of a name in any spelling.
func Lookup(name string) (Option, bool) {
	i, ok := slices.BinarySearchFunc(options, Key(name), func(o Option, name string) int { return strings.Compare(o.Name, name) })
	if !ok {
		return Option{}, false
	}
	return options[i], true
}

// Nearest returns the option that a name which is none is probably a slip of, or "".
func Nearest(name string) string {
	best, found := 4, ""
	for i := range options {
		if d := distance(Key(name), options[i].Name, best); d < best {
			best, found = d, options[i].Name
		}
	}
	return found
}

// distance is how many letters must be changed to make b of a, up to most.
func distance(a, b string, most int) int {
	if len(a)-len(b) >= most || len(b)-len(a) >= most {
		return most
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		prev := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := prev
			if a[i] != b[j] {
				cost++
			}
			prev = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// Check reports whether a value fits the option.
func (o Option) Check(value string) error {
	var err error
	switch o.Kind {
	case Bool:
		_, err = parseBool(value)
	case Int:
		_, err = strconv.ParseInt(value, 10, 64)
	case Float:
		_, err = parseFloat(value)
	case Size:
		_, err = parseSize(value)
	case Seconds:
		_, err = parseSeconds(value)
	case Address:
		_, err = parseAddress(value)
	}
	if err == nil && len(o.Choices) > 0 && !slices.Contains(o.Choices, value) {
		err = fmt.Errorf("not one of %s", strings.Join(o.Choices, ", "))
	}
	if err != nil {
		return fmt.Errorf("option %s: %q is not %s", o.Name, value, o.Kind)
	}
	return nil
}

// Fits is Check for a value as it is written: with variables it cannot be told yet.
func (o Option) Fits(value string) error { return o.fits(value) }

func (o Option) fits(value string) error {
	if value == "" || strings.Contains(value, "$") {
		return nil
	}
	return o.Check(value)
}

// String says what a value of the kind is.
func (k Kind) String() string {
	return [...]string{"a text", "true or false", "a whole number", "a number", "a size as 4096, 64K or 1G", "a time as 30, 1.5 or 5m", "an address as 127.0.0.1:6800"}[k]
}

func parseBool(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, strconv.ErrSyntax
}

func parseFloat(s string) (float64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err == nil && (math.IsNaN(f) || math.IsInf(f, 0)) {
		err = strconv.ErrRange
	}
	return f, err
}

// parseSize reads bytes; units are binary, as in Ceph.
func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "BbiKkMmGgTtPp ")
	f, err := parseFloat(digits)
	if err != nil || f < 0 {
		return 0, strconv.ErrSyntax
	}
	unit := strings.ToUpper(strings.TrimSpace(s[len(digits):]))
	unit = strings.TrimSuffix(strings.TrimSuffix(unit, "B"), "I")
	i := strings.Index(" KMGTP", unit)
	if unit == "" {
		i = 0
	}
	if len(unit) > 1 || i < 0 {
		return 0, strconv.ErrSyntax
	}
	f *= float64(uint64(1) << (10 * i))
	if f >= 1<<62 {
		return 0, strconv.ErrRange
	}
	return int64(f), nil
}

func parseSeconds(s string) (time.Duration, error) {
	if f, err := parseFloat(s); err == nil {
		if f < 0 || f > 1e9 {
			return 0, strconv.ErrRange
		}
		return time.Duration(f * float64(time.Second)), nil
	}
	d, err := time.ParseDuration(s)
	if err == nil && d < 0 {
		err = strconv.ErrRange
	}
	return d, err
}

// parseAddress reads an address with or without a port; "" is none.
func parseAddress(s string) (netip.AddrPort, error) {
	if s == "" || s == "none" {
		return netip.AddrPort{}, nil
	}
	s = strings.TrimPrefix(s, "v2:")
	if i := strings.IndexByte(s, '/'); i >= 0 {
		s = s[:i]
	}
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return netip.AddrPortFrom(a, 0), nil
	}
	return netip.ParseAddrPort(s)
}
