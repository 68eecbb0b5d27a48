package probe

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
)

// Report is what the bytes of a device say.
type Report struct {
	Bytes    int64     `json:"bytes"`
	Store    *Store    `json:"store"`    // nil: none of ours
	Findings []Finding `json:"findings"` // of others
	Residue  []Residue `json:"residue"`  // unknown data; only where nothing was recognised
	// Err is the first read error; the rest of the report is then incomplete.
	Err error `json:"-"`
}

// Residue is unknown non-zero data at an end of a device.
type Residue struct {
	Where  string `json:"where"` // "first" or "last"
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// residueBytes is how much of each end is looked at: where partition tools,
// RAID formats and file systems keep what makes them recognisable.
const residueBytes = 4 << 20

// Examine reads a device of size bytes. disk names it for its partitions
// ("sdb"); sector is its logical sector size.
func Examine(r io.ReaderAt, size, sector int64, disk string) Report {
	s := newSource(r, size, sector)
	rep := Report{Bytes: size}
	rep.Store = ours(s)
	for _, probe := range tables() {
		for _, f := range probe(s) {
			fillPartitions(s, disk, f.Partitions)
			rep.Findings = append(rep.Findings, f)
		}
	}
	rep.Findings = append(rep.Findings, examineContents(s)...)
	if rep.Store == nil && rep.Findings == nil {
		rep.Residue = residue(s)
	}
	rep.Err = s.err
	return rep
}

// Stores looks for our stores on a device of size bytes and in its partitions, and
// for nothing else: it reads far less than Examine.
func Stores(r io.ReaderAt, size int64) ([]*Store, error) {
	s := newSource(r, size, 0)
	rep := Report{Store: ours(s)}
	for _, table := range tables() {
		for _, f := range table(s) {
			fillPartitions(s, "", f.Partitions)
			rep.Findings = append(rep.Findings, f)
		}
	}
	return rep.Stores(), s.err
}

// examineContents runs every prober of what is no partition table.
func examineContents(s *source) (found []Finding) {
	for _, probe := range contents() {
		found = append(found, probe(s)...)
	}
	return found
}

// residue hashes the ends of a device that are not zero.
func residue(s *source) (list []Residue) {
	n := min(residueBytes, s.size)
	for _, end := range []struct {
		where string
		at    int64
	}{{"first", 0}, {"last", s.size - n}} {
		if end.where == "last" && s.size <= 2*residueBytes {
			end.at, n = n, s.size-n // the ends overlap: the second begins behind the first
		}
		// Most ends are zero, and looking is far cheaper than hashing.
		zero := true
		for at := end.at; zero && at < end.at+n; at += chunkBytes {
			p := s.at(at, int(min(chunkBytes, end.at+n-at)))
			if p == nil {
				return list
			}
			zero = zeroBytes(p)
		}
		if zero {
			continue
		}
		h := sha256.New()
		for at := end.at; at < end.at+n; at += chunkBytes {
			p := s.at(at, int(min(chunkBytes, end.at+n-at)))
			if p == nil {
				return list
			}
			h.Write(p)
		}
		list = append(list, Residue{end.where, n, hex.EncodeToString(h.Sum(nil))})
	}
	return list
}

// Stores returns every store of the report, those in partitions included.
func (r *Report) Stores() (list []*Store) {
	if r.Store != nil {
		list = append(list, r.Store)
	}
	for _, f := range r.Findings {
		for _, p := range f.Partitions {
			if p.Store != nil {
				list = append(list, p.Store)
			}
		}
	}
	return list
}
