package msgr

// Policy says what a session promises, and who has to bring it back after a
// fault.
type Policy struct {
	// Lossy: a fault ends the session, and what was in flight is gone. The side
	// that accepts decides.
	Lossy bool
	// Server: never dials; the peer comes back.
	Server bool
	// Standby: a session without anything to send is not dialled again until there
	// is.
	Standby bool
	// ResetCheck: a peer that has forgotten the session makes this side forget too.
	ResetCheck bool
	// Register: one session for a peer's address; a new one replaces the old.
	Register bool
}

// The policies of Ceph's daemons and clients.
var (
	LossyClient               = Policy{Lossy: true}                                     // to monitor, OSD, manager
	LosslessClient            = Policy{}                                                // to a metadata server; first contact with a monitor
	StatelessServer           = Policy{Lossy: true, Server: true}                       // monitor and manager
	StatelessRegisteredServer = Policy{Lossy: true, Server: true, Register: true}       // public side of an OSD
	StatefulServer            = Policy{Server: true, Standby: true, Register: true}     // metadata server
	LosslessPeer              = Policy{Standby: true, Register: true}                   // between OSDs
	LosslessPeerReset         = Policy{Standby: true, Register: true, ResetCheck: true} // between monitors
)
