package mon

// advice says what to do when a health check does not pass.
var advice = map[string]string{
	"AUTH_BAD_CAPS":                "what does not parse grants nothing; write the caps anew: ceph auth caps ENTITY mon 'allow r' osd 'allow rw'",
	"CRUSH_MAP":                    "put back a map that can be read: ceph osd setcrushmap -i FILE",
	"LARGE_OMAP_OBJECTS":           "find the objects in the log of the scrub: ceph log last; give them fewer keys",
	"OBJECT_MISPLACED":             "nothing: data is on its way to where the map wants it",
	"OBJECT_UNFOUND":               "start the OSDs that may have them: ceph osd tree",
	"OLD_CRUSH_STRAW_CALC_VERSION": "ceph osd crush set-tunable straw_calc_version 1",
	"OLD_CRUSH_TUNABLES":           "when no client is older than 10.2: ceph osd crush tunables optimal",
	"OSD_FLAGS":                    "when the work they were set for is done: ceph osd unset-group FLAGS WHO",
	"OSD_SCRUB_ERRORS":             "see what is damaged: rados list-inconsistent-obj PGID; then restore those objects from a copy",
	"PG_BACKFILL_FULL":             "add OSDs or remove data: ceph osd df",
	"PG_RECOVERY_FULL":             "add OSDs or remove data: ceph osd df",
	"POOL_PG_NUM_NOT_POWER_OF_TWO": "PGs hold unequal shares; make the next pool with 2, 4, 8, … of them",
	"MON_DOWN":                     "start the monitor: systemctl start ebofs-mon@NAME",
	"OSDMAP_FLAGS":                 "when the work they were set for is done: ceph osd unset FLAG",
	"OSD_BACKFILLFULL":             "add OSDs or remove data: nothing is moved onto an OSD this full",
	"OSD_DOWN":                     "start it: systemctl start ebofs-osd@ID; its log says why it stopped: journalctl -u ebofs-osd@ID",
	"OSD_FULL":                     "writes are refused until data is removed or OSDs are added: ceph osd df",
	"OSD_HOST_DOWN":                "look at the host: all its OSDs are down",
	"OSD_NEARFULL":                 "add OSDs or remove data before they are full: ceph osd df",
	"OSD_ORPHAN":                   "remove the id from the CRUSH map: ceph osd crush rm osd.ID",
	"OSD_ROOT_DOWN":                "look at the network between monitors and hosts: all OSDs of a root are down",
	"PG_AVAILABILITY":              "start the OSDs that are down: ceph osd tree; ceph pg PGID query names what each PG waits for",
	"PG_DAMAGED":                   "find what is damaged: fsck.ebofs --online DEV; then restore those objects from a copy",
	"PG_DEGRADED":                  "start or add OSDs, or ask for fewer copies: ceph osd pool set POOL size N",
	"POOL_APP_NOT_ENABLED":         "ceph osd pool application enable POOL rbd (or rgw, cephfs, or a name of yours)",
	"POOL_BACKFILLFULL":            "add OSDs or remove data: nothing is moved onto its OSDs",
	"POOL_FULL":                    "remove data from the pool or raise its quota: ceph osd pool set-quota POOL max_bytes N",
	"POOL_NEARFULL":                "remove data from the pool or raise its quota: ceph osd pool set-quota POOL max_bytes N",
	"POOL_NO_REDUNDANCY":           "if losing the only copy matters: ceph osd pool set POOL size 3; else: ceph config set global mon_warn_on_pool_no_redundancy false",
	"SLOW_OPS":                     "ebofs admin osd.ID dump_blocked_ops names what they wait for",
	"TOO_FEW_OSDS":                 "add OSDs: there are fewer than copies are asked for",
}

// action returns what to do about a code.
func action(code string) string {
	if a := advice[code]; a != "" {
		return a
	}
	return "ceph health detail"
}
