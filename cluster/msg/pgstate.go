package msg

import "strings"

// stateBits are the states of PGs in the order in which they are written.
var stateBits = []struct {
	bit  PGState
	name string
}{
	{PGStale, "stale"}, {PGCreating, "creating"}, {PGActive, "active"}, {PGActivating, "activating"}, {PGClean, "clean"},
	{PGRecoveryWait, "recovery_wait"}, {PGRecoveryTooFull, "recovery_toofull"}, {PGRecovering, "recovering"},
	{PGForcedRecovery, "forced_recovery"}, {PGDown, "down"}, {PGRecoveryUnfound, "recovery_unfound"}, {PGBackfillUnfound, "backfill_unfound"},
	{PGUndersized, "undersized"}, {PGDegraded, "degraded"}, {PGRemapped, "remapped"}, {PGPremerge, "premerge"},
	{PGScrubbing, "scrubbing"}, {PGDeepScrub, "deep"}, {PGInconsistent, "inconsistent"}, {PGPeering, "peering"},
	{PGRepair, "repair"}, {PGBackfilling, "backfilling"}, {PGForcedBackfill, "forced_backfill"}, {PGBackfillWait, "backfill_wait"},
	{PGBackfillTooFull, "backfill_toofull"}, {PGIncomplete, "incomplete"}, {PGPeered, "peered"}, {PGSnaptrim, "snaptrim"},
	{PGSnaptrimWait, "snaptrim_wait"}, {PGSnaptrimError, "snaptrim_error"}, {PGFailedRepair, "failed_repair"}, {PGLaggy, "laggy"}, {PGWait, "wait"},
}

// String writes a state as Ceph does: active+clean.
func (s PGState) String() string {
	var out []string
	for _, b := range stateBits {
		if s&b.bit != 0 {
			out = append(out, b.name)
		}
	}
	if len(out) == 0 {
		return "unknown"
	}
	return strings.Join(out, "+")
}
