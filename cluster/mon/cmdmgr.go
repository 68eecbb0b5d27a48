package mon

import (
	"fmt"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
)

// The monitor does what a manager does, and tells clients that there is none; nor
// are there file systems.
func init() {
	add("mgr", "r", "mgr dump [epoch:CephInt=0]", "dump the latest MgrMap", cmdMgrDump)
	add("mgr", "r", "mgr stat", "dump basic info about the mgr cluster state", cmdMgrStat)
	add("mgr", "r", "mgr module ls", "list active mgr modules", cmdMgrModules)
	add("mgr", "r", "mgr services", "list endpoints of managers: there are none", func(c *call) error { return c.print(empty{}, nil) })
	add("mgr", "r", "mgr metadata [who:CephString]", "show what managers say of themselves: there is none", cmdMgrMetadata)
	add("mgr", "r", "mgr versions", "check running versions of ceph-mgr daemons", func(c *call) error { return c.print(empty{}, nil) })
	add("mgr", "r", "mgr count-metadata property:CephString", "count managers by what they say of themselves", func(c *call) error { return c.print(empty{}, nil) })
	add("service", "r", "service dump", "dump service map", cmdServiceDump)
	add("service", "r", "service status", "dump service state", func(c *call) error { return c.print(empty{}, nil) })
	hidden("mds", "r", "mds stat", "show MDS status", cmdMDSStat)
	add("mds", "r", "mds metadata [who:CephString]", "fetch metadata for mds <role>", func(c *call) error { return c.none("mds") })
	add("mds", "r", "mds versions", "check running versions of MDSs", func(c *call) error { return c.print(empty{}, nil) })
	add("mds", "r", "mds count-metadata property:CephString", "count metadata servers: there is none", func(c *call) error { return c.print(empty{}, nil) })
	add("mds", "r", "mds ok-to-stop ids:CephString…", "say whether metadata servers may stop: there is none", func(c *call) error {
		c.text = fmt.Sprintf("should be safe to stop %v", c.strs("ids"))
		return nil
	})
	add("fs", "r", "fs ls", "list filesystems", func(c *call) error {
		return c.print([]string{}, func() string { return "No filesystems enabled\n" })
	})
	add("mds", "r", "fs dump [epoch:CephInt=0]", "show the map of file systems: there is none", cmdFSDump)
}

// empty is an object without members.
type empty struct{}

type mgrMapJSON struct {
	Epoch     int                 `json:"epoch"`
	GID       uint64              `json:"active_gid"`
	Name      string              `json:"active_name"`
	Addrs     addrsJSON           `json:"active_addrs"`
	Addr      string              `json:"active_addr"`
	Change    string              `json:"active_change"`
	Features  uint64              `json:"active_mgr_features"`
	Available bool                `json:"available"`
	Standbys  []string            `json:"standbys"`
	Modules   []string            `json:"modules"`
	Can       []string            `json:"available_modules"`
	Services  empty               `json:"services"`
	Always    map[string][]string `json:"always_on_modules"`
	Failure   int                 `json:"last_failure_osd_epoch"`
	Clients   []string            `json:"active_clients"`
}

func cmdMgrDump(c *call) error {
	if e := c.num("epoch", 0); e > 1 {
		return fail(ceph.ENOENT, "there is no map of managers of epoch %d", e)
	}
	return c.print(mgrMapJSON{
		Epoch: 1, Addrs: newAddrs(nil), Addr: "-", Change: ceph.Time{}.String(), Standbys: []string{}, Modules: []string{}, Can: []string{}, Always: map[string][]string{}, Clients: []string{},
	}, nil)
}

func cmdMgrStat(c *call) error {
	return c.print(struct {
		Epoch     int    `json:"epoch"`
		Available bool   `json:"available"`
		Name      string `json:"active_name"`
		Standby   int    `json:"num_standby"`
	}{Epoch: 1}, nil)
}

func cmdMgrModules(c *call) error {
	return c.print(map[string][]string{"always_on_modules": {}, "enabled_modules": {}, "disabled_modules": {}}, nil)
}

func cmdMgrMetadata(c *call) error { return c.none("mgr") }

// none answers that there is no daemon of a kind.
func (c *call) none(kind string) error {
	if who, ok := c.str("who"); ok {
		return fail(ceph.ENOENT, "there is no %s.%s", kind, who)
	}
	return c.print([]string{}, nil)
}

type serviceMapJSON struct {
	Epoch    int    `json:"epoch"`
	Modified string `json:"modified"`
	Services empty  `json:"services"`
}

func newServiceMap(st *State) serviceMapJSON {
	return serviceMapJSON{1, st.OSD.Created.String(), empty{}}
}

func cmdServiceDump(c *call) error { return c.print(newServiceMap(c.st), nil) }

type fsMapJSON struct {
	Epoch   int `json:"epoch"`
	Default int `json:"default_fscid"`
	Compat  struct {
		Compat   empty             `json:"compat"`
		ROCompat empty             `json:"ro_compat"`
		Incompat map[string]string `json:"incompat"`
	} `json:"compat"`
	Flags struct {
		Multiple bool `json:"enable_multiple"`
		Ever     bool `json:"ever_enabled_multiple"`
	} `json:"feature_flags"`
	Standbys    []string `json:"standbys"`
	Filesystems []string `json:"filesystems"`
}

// mdsFeatures are those that a map of file systems names even when there is none.
var mdsFeatures = map[string]string{
	"feature_1": "base v0.20", "feature_2": "client writeable ranges", "feature_3": "default file layouts on dirs", "feature_4": "dir inode in separate object",
	"feature_5": "mds uses versioned encoding", "feature_6": "dirfrag is stored in omap", "feature_8": "no anchor table", "feature_9": "file layout v2", "feature_10": "snaprealm v2",
}

func newFSMap() fsMapJSON {
	j := fsMapJSON{Epoch: 1, Default: -1, Standbys: []string{}, Filesystems: []string{}}
	j.Compat.Incompat = mdsFeatures
	j.Flags.Multiple, j.Flags.Ever = true, true
	return j
}

func cmdFSDump(c *call) error {
	c.text = "dumped fsmap epoch 1"
	return c.print(newFSMap(), func() string { return "e1\nNo filesystems configured\n" })
}

func cmdMDSStat(c *call) error {
	return c.print(struct {
		Map   fsMapJSON `json:"fsmap"`
		First int       `json:"mdsmap_first_committed"`
		Last  int       `json:"mdsmap_last_committed"`
	}{newFSMap(), 1, 1}, func() string { return "\n" })
}

// What modules of a manager answer where they have nothing to report.
func init() {
	nothing := func(c *call) error { return c.print([]string{}, func() string { return "" }) }
	quiet := func(*call) error { return nil }
	add("mgr", "r", "crash ls", "Show new and archived crash dumps", nothing)
	add("mgr", "r", "crash ls-new", "Show new crash dumps", nothing)
	add("mgr", "r", "crash stat", "Summarize recorded crashes", func(c *call) error { c.out = []byte("0 crashes recorded\n"); return nil })
	add("mgr", "r", "crash info id:CephString", "show crash dump metadata", func(c *call) error {
		id, _ := c.str("id")
		return fail(ceph.EINVAL, "crash info: %s not found", id)
	})
	add("mgr", "rw", "crash rm id:CephString", "Remove a saved crash <id>", quiet)
	add("mgr", "rw", "crash prune keep:CephString", "Remove crashes older than <keep> days", quiet)
	add("mgr", "w", "crash archive-all", "take note of all crashes", quiet)
	add("mgr", "r", "balancer status", "Show balancer status", cmdBalancer)
	add("mgr", "r", "balancer ls", "List all plans", nothing)
	add("mgr", "r", "balancer pool ls", "List automatic balancing pools", quiet)
	add("mgr", "r", "telemetry status", "Show current configuration", cmdTelemetry)
	add("mgr", "r", "progress", "Show progress of recovery operations", func(c *call) error { c.text = "Nothing in progress"; return nil })
	add("mgr", "r", "progress json", "Show machine readable progress information", func(c *call) error {
		return c.print(map[string][]string{"events": {}, "completed": {}}, nil)
	})
	add("mgr", "rw", "progress clear", "Reset progress tracking", quiet)
	add("mgr", "r", "device ls", "Show devices", cmdDeviceLs)
	add("mgr", "r", "device info devid:CephString", "Show information about a device", cmdDeviceInfo)
	add("mgr", "r", "device ls-by-daemon who:CephString", "list the devices of a daemon", func(c *call) error {
		who, _ := c.str("who")
		return c.devices(func(d device) bool { return slices.Contains(d.Daemons, who) })
	})
	add("mgr", "r", "device ls-by-host host:CephString", "Show devices on a host", func(c *call) error {
		host, _ := c.str("host")
		return c.devices(func(d device) bool {
			return slices.ContainsFunc(d.Location, func(l deviceAt) bool { return l.Host == host })
		})
	})
}

func cmdBalancer(c *call) error {
	return c.print(struct {
		Active   bool     `json:"active"`
		Duration string   `json:"last_optimize_duration"`
		Started  string   `json:"last_optimize_started"`
		Mode     string   `json:"mode"`
		None     bool     `json:"no_optimization_needed"`
		Result   string   `json:"optimize_result"`
		Plans    []string `json:"plans"`
	}{Mode: "none", None: true, Plans: []string{}}, nil)
}

func cmdTelemetry(c *call) error {
	j := map[string]any{"enabled": false, "interval": 24, "last_opt_revision": 1, "log_level": "", "log_to_cluster_level": "info", "url": "", "device_url": ""}
	for _, k := range []string{"channel_basic", "channel_crash", "channel_device", "channel_ident", "leaderboard", "log_to_cluster", "log_to_file"} {
		j[k] = false
	}
	for _, k := range []string{"contact", "description", "last_upload", "organization", "proxy"} {
		j[k] = nil
	}
	return c.print(j, nil)
}

// device is a disk, by what the OSDs on it say.
type device struct {
	ID       string     `json:"devid"`
	Location []deviceAt `json:"location"`
	Daemons  []string   `json:"daemons"`
}

type deviceAt struct {
	Host string `json:"host"`
	Dev  string `json:"dev"`
	Path string `json:"path"`
}

// allDevices returns those that say who they are: "sda=VENDOR_SERIAL,sdb=…".
func (c *call) allDevices() (list []device) {
	at := map[string]int{}
	for _, osd := range c.ids(c.st.OSD) {
		m := c.st.Meta[osd]
		paths := pairs(m["device_paths"])
		for dev, id := range pairs(m["device_ids"]) {
			i, ok := at[id]
			if !ok {
				i = len(list)
				at[id] = i
				list = append(list, device{ID: id})
			}
			list[i].Location = append(list[i].Location, deviceAt{m["hostname"], dev, paths[dev]})
			list[i].Daemons = append(list[i].Daemons, fmt.Sprintf("osd.%d", osd))
		}
	}
	slices.SortFunc(list, func(a, b device) int { return strings.Compare(a.ID, b.ID) })
	return list
}

func pairs(s string) map[string]string {
	out := map[string]string{}
	for _, one := range strings.Split(s, ",") {
		if k, v, ok := strings.Cut(one, "="); ok && v != "" {
			out[k] = v
		}
	}
	return out
}

func (c *call) devices(want func(device) bool) error {
	list := []device{}
	t := columns(left("DEVICE", "HOST:DEV", "DAEMONS", "WEAR", "LIFE EXPECTANCY"))
	for _, d := range c.allDevices() {
		if !want(d) {
			continue
		}
		list = append(list, d)
		var at []string
		for _, l := range d.Location {
			at = append(at, l.Host+":"+l.Dev)
		}
		t.row(d.ID, strings.Join(at, " "), strings.Join(d.Daemons, " "), "", "")
	}
	return c.print(list, t.String)
}

func cmdDeviceLs(c *call) error { return c.devices(func(device) bool { return true }) }

func cmdDeviceInfo(c *call) error {
	id, _ := c.str("devid")
	for _, d := range c.allDevices() {
		if d.ID == id {
			return c.print(d, nil)
		}
	}
	return fail(ceph.ENOENT, "device %s not found", id)
}
