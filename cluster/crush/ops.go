package crush

// opNames are the operations as dumps name them; texts have a blank between the
// first two words of those that choose.
var opNames = map[Op]string{
	Noop: "noop", Take: "take", Emit: "emit",
	ChooseFirstN: "choose_firstn", ChooseIndep: "choose_indep",
	ChooseLeafFirstN: "chooseleaf_firstn", ChooseLeafIndep: "chooseleaf_indep",
	SetChooseTries: "set_choose_tries", SetChooseLeafTries: "set_chooseleaf_tries",
	SetChooseLocalTries: "set_choose_local_tries", SetChooseLocalFallback: "set_choose_local_fallback_tries",
	SetChooseLeafVaryR: "set_chooseleaf_vary_r", SetChooseLeafStable: "set_chooseleaf_stable",
}

// opNamed is the opposite of opNames.
func opNamed(name string) (Op, bool) {
	for op, n := range opNames {
		if n == name {
			return op, true
		}
	}
	return 0, false
}

// chooses reports whether op has a number and a type.
func (op Op) chooses() bool {
	return op == ChooseFirstN || op == ChooseIndep || op == ChooseLeafFirstN || op == ChooseLeafIndep
}

// sets reports whether op has a value.
func (op Op) sets() bool { return op >= SetChooseTries && op <= SetChooseLeafStable }

// validWord reports whether s can be a name in a text.
func validWord(s string) bool {
	for _, r := range []byte(s) {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.', r == '~':
		default:
			return false
		}
	}
	return s != ""
}
