package msg

import "fmt"

// Type says what a message is.
type Type uint16

// Message types of clients, monitors, OSDs and managers of release 16.2, as far as
// they are sent or answered here. Those of metadata servers are to come.
const (
	TypePing                Type = 2
	TypeMonMap              Type = 4
	TypeMonGetMap           Type = 5
	TypeMonGetOSDMap        Type = 6
	TypeStatFS              Type = 13
	TypeStatFSReply         Type = 14
	TypeMonSubscribe        Type = 15
	TypeMonSubscribeAck     Type = 16
	TypeAuth                Type = 17
	TypeAuthReply           Type = 18
	TypeMonGetVersion       Type = 19
	TypeMonGetVersionReply  Type = 20
	TypeOSDMap              Type = 41
	TypeOSDOp               Type = 42
	TypeOSDOpReply          Type = 43
	TypeWatchNotify         Type = 44
	TypeFSMap               Type = 45
	TypePoolOpReply         Type = 48
	TypePoolOp              Type = 49
	TypeMonCommand          Type = 50
	TypeMonCommandAck       Type = 51
	TypeLog                 Type = 52
	TypeLogAck              Type = 53
	TypeKVData              Type = 54
	TypeGetPoolStats        Type = 58
	TypeGetPoolStatsReply   Type = 59
	TypeOSDBackoff          Type = 61
	TypeConfig              Type = 62
	TypeGetConfig           Type = 63
	TypeOSDPing             Type = 70
	TypeOSDBoot             Type = 71
	TypeOSDFailure          Type = 72
	TypeOSDAlive            Type = 73
	TypeOSDMarkMeDown       Type = 74
	TypeOSDFull             Type = 75
	TypeMonGetPurgedSnaps   Type = 76
	TypeMonPurgedSnapsReply Type = 77
	TypeOSDPGTemp           Type = 78
	TypeOSDBeacon           Type = 79
	TypePGStats             Type = 87
	TypeCommand             Type = 97
	TypeCommandReply        Type = 98
	TypeOSDPGCreated        Type = 116
	TypeOSDPGCreate2        Type = 120
	TypeOSDScrub2           Type = 121
	TypeOSDPGReadyToMerge   Type = 122
	TypeOSDMarkMeDead       Type = 123
	TypeMgrOpen             Type = 0x700
	TypeMgrConfigure        Type = 0x701
	TypeMgrReport           Type = 0x702
	TypeMgrMap              Type = 0x704
	TypeMgrDigest           Type = 0x705
	TypeMonMgrReport        Type = 0x706
	TypeServiceMap          Type = 0x707
	TypeMgrClose            Type = 0x708
	TypeMgrCommand          Type = 0x709
	TypeMgrCommandReply     Type = 0x70a
	TypeMonPeer             Type = 0xeb00 // ours alone
)

var typeNames = map[Type]string{
	TypePing: "ping", TypeMonMap: "mon_map", TypeMonGetMap: "mon_get_map", TypeMonGetOSDMap: "mon_get_osdmap",
	TypeStatFS: "statfs", TypeStatFSReply: "statfs_reply", TypeMonSubscribe: "mon_subscribe",
	TypeMonSubscribeAck: "mon_subscribe_ack", TypeAuth: "auth", TypeAuthReply: "auth_reply",
	TypeMonGetVersion: "mon_get_version", TypeMonGetVersionReply: "mon_get_version_reply", TypeOSDMap: "osd_map",
	TypeOSDOp: "osd_op", TypeOSDOpReply: "osd_opreply", TypeWatchNotify: "watch_notify", TypeFSMap: "fs_map",
	TypePoolOpReply: "poolop_reply", TypePoolOp: "poolop", TypeMonCommand: "mon_command",
	TypeMonCommandAck: "mon_command_ack", TypeLog: "log", TypeLogAck: "logack", TypeKVData: "kv_data",
	TypeGetPoolStats: "getpoolstats", TypeGetPoolStatsReply: "getpoolstatsreply", TypeOSDBackoff: "osd_backoff",
	TypeConfig: "config", TypeGetConfig: "get_config", TypeOSDPing: "osd_ping", TypeOSDBoot: "osd_boot",
	TypeOSDFailure: "osd_failure", TypeOSDAlive: "osd_alive", TypeOSDMarkMeDown: "osd_mark_me_down",
	TypeOSDFull: "osd_full", TypeMonGetPurgedSnaps: "mon_get_purged_snaps",
	TypeMonPurgedSnapsReply: "mon_get_purged_snaps_reply", TypeOSDPGTemp: "osd_pgtemp", TypeOSDBeacon: "osd_beacon",
	TypePGStats: "pg_stats", TypeCommand: "command", TypeCommandReply: "command_reply",
	TypeOSDPGCreated: "osd_pg_created", TypeOSDPGCreate2: "osd_pg_create2",
	TypeOSDScrub2: "osd_scrub2", TypeOSDPGReadyToMerge: "osd_pg_ready_to_merge", TypeOSDMarkMeDead: "osd_mark_me_dead", TypeMgrOpen: "mgr_open",
	TypeMgrConfigure: "mgr_configure", TypeMgrReport: "mgr_report", TypeMgrMap: "mgr_map", TypeMgrDigest: "mgr_digest",
	TypeMonMgrReport: "mon_mgr_report", TypeServiceMap: "service_map", TypeMgrClose: "mgr_close", TypeMgrCommand: "mgr_command",
	TypeMgrCommandReply: "mgr_command_reply", TypeMonPeer: "mon_peer",
}

// String returns Ceph's name of t, or its number.
func (t Type) String() string {
	if s, ok := typeNames[t]; ok {
		return s
	}
	return fmt.Sprintf("message type %d", uint16(t))
}
