package mon_test

import "strings"

// difference is a place where an answer of ours is not that of 16.2.15, and why.
type difference struct {
	Prefix, At, Why string
}

func (d difference) key() string { return d.Prefix + " " + d.At }

type differenceList []difference

// find returns what knows of a difference.
func (l differenceList) find(prefix, what string) (string, bool) {
	for _, d := range l {
		if d.Prefix == prefix && strings.HasPrefix(what, d.At) {
			return d.key(), true
		}
	}
	return "", false
}

var differences = differenceList{
	{"osd find", "/container_name", "no container_name: daemons do not say whether they run in a container"},
	{"osd blocklist ls", "answer is", "one list in JSON; 16.2 puts a second, of ranges, right behind it, which no parser takes"},
	{"osd blacklist ls", "answer is", "one list in JSON; 16.2 puts a second, of ranges, right behind it, which no parser takes"},
	{"pg getmap", "result -95", "refused: statistics of PGs are not kept as a map of Ceph's encoding"},
	{"pg ls-by-pool", " is nothing", "an error comes without output"},
	{"pg ls-by-osd", " is nothing", "an error comes without output"},
	{"config show", "/[]/overrides", "shows what is set, not what that hides; of OSDs, what the central database sets: their files are theirs, tell osd.N config diff shows them"},
	{"config show-with-defaults", "/[]/", "shows what is set, not what that hides, and the options of our daemons"},
	{"tell mon.a config help", "/option/m", "no bounds: an option says what kind of value it takes"},
	{"crash info", "result -22", "-22 where 16.2 answers 22"},
	{"osd last-stat-seq", " is number", "answers in JSON, too"},
}
