package layout

import (
	"fmt"
	"math/bits"
	"strings"
)

// Features are three masks: an unknown bit in Compat is ignored, in ROCompat
// allows reading only, in Incompat refuses the store.
type Features struct {
	Compat, ROCompat, Incompat uint64
}

// FeatKeptEpochs is a compatible feature: the root record names earlier
// checkpoints. A program that does not know it drops the list with its first
// checkpoint, before it uses their blocks.
const FeatKeptEpochs uint64 = 1 << 0

// Incompatible features. Their numbers are for ever.
const (
	FeatCarry          uint64 = 1 << iota // carry segments beside the trees
	FeatOwnerIndex                        // owners tree is maintained
	FeatHardGeometry                      // stripes are never written in part
	FeatInlineData                        // small objects live in their onode
	FeatBlobValues                        // values with an extent tree of their own
	FeatMultiRing                         // more than one WAL ring
	FeatSubtreeSharing                    // nodes reachable from two roots
	FeatExternalLog                       // the WAL ring is on another device
	FeatSharedBlocks                      // blocks of data mapped more than once, counted by the refs tree
	FeatMetadataOnly                      // an image without data (package image): no read of data may succeed
	FeatDenseOnodes                       // onodes of version 2
)

var incompatNames = []string{
	"carry", "owner-index", "hard-geometry", "inline-data", "blob-values", "multi-ring", "subtree-sharing", "external-log", "shared-blocks", "metadata-only",
	"dense-onodes",
}

// KnownIncompat are the incompatible features this program can read.
const KnownIncompat = FeatOwnerIndex | FeatHardGeometry | FeatInlineData | FeatExternalLog | FeatSharedBlocks | FeatMetadataOnly | FeatDenseOnodes

// KnownROCompat are the features this program can write.
const KnownROCompat uint64 = 0

// Names lists the features, incompatible ones by name.
func (f Features) Names() []string {
	return append(maskNames("compat", f.Compat), append(maskNames("ro_compat", f.ROCompat), maskNames("incompat", f.Incompat)...)...)
}

func maskNames(class string, m uint64) []string {
	var s []string
	for ; m != 0; m &= m - 1 {
		i := bits.TrailingZeros64(m)
		if class == "compat" && m&-m == FeatKeptEpochs {
			s = append(s, "kept-epochs")
		} else if class == "incompat" && i < len(incompatNames) {
			s = append(s, incompatNames[i])
		} else {
			s = append(s, fmt.Sprintf("%s bit %d", class, i))
		}
	}
	return s
}

// CheckRead returns ErrFeature, naming the features, if the store may not be read
// at all.
func (f Features) CheckRead() error {
	if m := f.Incompat &^ KnownIncompat; m != 0 {
		return &Corruption{Kind: "superblock", Field: "features", Got: strings.Join(maskNames("incompat", m), ", "), Err: ErrFeature}
	}
	return nil
}

// CheckWrite returns ErrFeature, naming the features, if the store may not be
// written.
func (f Features) CheckWrite() error {
	if err := f.CheckRead(); err != nil {
		return err
	}
	if m := f.ROCompat &^ KnownROCompat; m != 0 {
		return &Corruption{Kind: "superblock", Field: "features", Got: strings.Join(maskNames("ro_compat", m), ", "), Err: ErrFeature}
	}
	return nil
}
