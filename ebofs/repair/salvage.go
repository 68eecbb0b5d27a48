package repair

import (
	"ebofs/ebofs"
	"ebofs/ebofs/layout"
)

func salvageable(err error) bool { return false }

func (r *repairer) salvage(sb *layout.Superblock, found *ebofs.Found) error { return ErrNothing }
