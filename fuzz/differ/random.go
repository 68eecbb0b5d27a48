package differ

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// generator makes operations on a few objects, so that they meet each other. It
// leaves out what docs/differences.md has: data compared after the same request
// wrote it, a zero of no length, a range of keys removed or an object removed after
// the same request made it.
type generator struct {
	r     *rand.Rand
	snaps []string // made and not removed, oldest first; nil: none in this case
	made  int
	self  bool // snapshots are in use
}

func (g *generator) pick(s ...string) string { return s[g.r.IntN(len(s))] }

func (g *generator) object() string { return fmt.Sprint("o", g.r.IntN(5)) }

func (g *generator) offset() int {
	switch g.r.IntN(4) {
	case 0:
		return 0
	case 1:
		return g.r.IntN(20) * 4096
	default:
		return g.r.IntN(80_000)
	}
}

func (g *generator) length() int {
	switch g.r.IntN(6) {
	case 0:
		return 1 + g.r.IntN(10)
	case 1:
		return (1 + g.r.IntN(4)) * 4096
	case 2:
		return 1 + g.r.IntN(70_000)
	default:
		return 1 + g.r.IntN(6000)
	}
}

func (g *generator) data() string {
	return fmt.Sprintf("@rand:%d:%d", g.r.IntN(1000), g.length())
}

func (g *generator) small() string {
	return g.pick("1", "2", "abc", `""`, "@rand:7:300", "@hex:00ff", "@rand:8:5000")
}

func (g *generator) name() string { return g.pick("a", "b", "c", "dd", "e") }

func (g *generator) key() string { return fmt.Sprintf("k%02d", g.r.IntN(30)) }

// guard is an operation that only looks; one may begin a compound write.
func (g *generator) guard() string {
	switch g.r.IntN(5) {
	case 0:
		return fmt.Sprintf("cmpext %d %s", g.offset(), g.pick("@hex:00", "@hex:0000000000", g.data()))
	case 1:
		return fmt.Sprintf("cmpx %s %s %s", g.name(), g.pick("eq", "ne", "gt", "ge", "lt", "le"), g.small())
	case 2:
		return fmt.Sprintf("omapcmp %s %s %s", g.key(), g.pick("eq", "gt", "lt"), g.small())
	case 3:
		return "exists"
	default:
		return "create excl"
	}
}

// change is an operation that changes something.
func (g *generator) change() string {
	switch g.r.IntN(14) {
	case 0, 1, 2:
		return fmt.Sprintf("write %d %s", g.offset(), g.data())
	case 3:
		return "full " + g.data()
	case 4:
		return "append " + g.data()
	case 5:
		n := 1 + g.r.IntN(40)
		return fmt.Sprintf("same %d %d @rand:%d:%d", g.offset(), n*(1+g.r.IntN(200)), g.r.IntN(99), n)
	case 6:
		return fmt.Sprintf("trunc %d", g.offset())
	case 7:
		return fmt.Sprintf("zero %d %d", g.offset(), g.length())
	case 8:
		return fmt.Sprintf("setx %s %s", g.name(), g.small())
	case 9:
		return "rmx " + g.name()
	case 10, 11:
		return fmt.Sprintf("omapset %s %s %s %s", g.key(), g.small(), g.key(), g.small())
	case 12:
		return g.pick("omaprm "+g.key()+" "+g.key(), "omaprange "+g.key()+" "+g.key(), "omapclear")
	default:
		return g.pick("rm", "create", "create", "hint 4096 4096")
	}
}

// look is an operation of a compound read.
func (g *generator) look() string {
	switch g.r.IntN(9) {
	case 0:
		return "stat"
	case 1:
		return "listx"
	case 2:
		return fmt.Sprintf("keys %s %d", g.pick(`""`, g.key()), g.r.IntN(20))
	case 3:
		return fmt.Sprintf("vals %s %s %d", g.pick(`""`, g.key()), g.pick(`""`, "k", "k1", "x"), g.r.IntN(20))
	case 4:
		return "byk " + g.key() + " " + g.key()
	case 5:
		return fmt.Sprintf("sum crc32c %d %d %d 0", g.r.IntN(2), g.offset(), g.length())
	case 6:
		return fmt.Sprintf("cmpx %s %s %s", g.name(), g.pick("eq", "ne", "gt"), g.small())
	default:
		return fmt.Sprintf("read %d %d", g.offset(), g.length())
	}
}

func (g *generator) some(n int, f func() string) string {
	var s []string
	for len(s) < n {
		next := f()
		if len(s) > 0 && (next == "rm" || strings.HasPrefix(next, "omaprange")) {
			continue
		}
		s = append(s, next)
	}
	return strings.Join(s, " ; ")
}

// next is the next operation, or several that belong together.
func (g *generator) next() []string {
	o := g.object()
	if g.self && g.r.IntN(10) == 0 {
		return g.snapshot(o)
	}
	switch g.r.IntN(20) {
	case 0, 1, 2:
		return []string{"w " + o + " " + g.change()}
	case 3, 4, 5:
		return []string{"w " + o + " " + g.some(2+g.r.IntN(4), g.change)}
	case 6, 7:
		return []string{"w " + o + " " + g.guard() + " ; " + g.some(1+g.r.IntN(3), g.change)}
	case 8:
		return []string{"w " + o + " " + g.guard() + " ; flag failok ; " + g.change()}
	case 9:
		return []string{"rm " + o}
	case 10, 11:
		return []string{"read " + o}
	case 12:
		return []string{"read " + o + fmt.Sprintf(" %d %d", g.offset(), g.length())}
	case 13, 14, 15, 16:
		return []string{"r " + o + " " + g.some(1+g.r.IntN(5), g.look)}
	case 17:
		return []string{"stat " + o}
	case 18:
		return []string{g.pick("ls", "pages 2")}
	default:
		return []string{"lock " + g.pick("ex", "sh") + " " + o + " l " + g.name() + " t", "unlock " + o + " l " + g.name(), "lockers " + o + " l"}
	}
}

// snapshot is something about snapshots that clients manage.
func (g *generator) snapshot(o string) []string {
	switch n := len(g.snaps); {
	case n == 0 || g.r.IntN(3) == 0 && n < 6:
		g.made++
		s := fmt.Sprint("s", g.made)
		g.snaps = append(g.snaps, s)
		return []string{"ssnew " + s, "snapc " + strings.Join(g.snaps, " ")}
	case g.r.IntN(3) == 0:
		return []string{"ssrollback " + o + " " + g.snaps[g.r.IntN(n)], "read " + o}
	default:
		return []string{"snapread " + g.snaps[g.r.IntN(n)], "r " + o + " " + g.some(3, g.look), "read " + o, "snapread"}
	}
}
