package track

// Stage is how far a request has come: it waits for what the stage is named after.
type Stage uint8

// The stages, in the order in which a request usually comes to them.
const (
	Initiated     Stage = iota // it has come
	WaitingMap                 // for a newer map of the OSDs
	WaitingPG                  // for its PG to be served
	Queued                     // for its PG to look at it
	WaitingObject              // for requests on the same object that came before
	Started                    // is carried out
	Device                     // for bytes of the device
	Fetching                   // for another OSD: the source of a copy
	Committing                 // for the store's log to have it
	Committed                  // for the reply to be sent
	Done
	stages
)

// names of stages as events; where Ceph has the event it is Ceph's.
var names = [stages]string{
	"initiated", "waiting for osdmap", "waiting for peered", "queued_for_pg", "waiting for rw locks", "started", "waiting for device", "waiting for source osd",
	"waiting for commit", "op_commit", "done",
}

// String returns the name of the stage.
func (s Stage) String() string {
	if s < stages {
		return names[s]
	}
	return "unknown"
}
