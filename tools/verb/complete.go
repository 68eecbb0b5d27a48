package verb

import (
	"fmt"
	"slices"
	"strings"
)

// Completion returns the completion script for shell: bash, zsh or fish. The
// script is static: it names the verbs, actions, flags and the choices of
// flags, and leaves everything else to the shell's file names.
func Completion(shell string, verbs []Verb) (string, error) {
	var shown []Verb
	for _, v := range verbs {
		if !v.Later {
			shown = append(shown, v)
		}
	}
	switch shell {
	case "bash":
		return bash(shown), nil
	case "zsh":
		return zsh(shown), nil
	case "fish":
		return fish(shown), nil
	}
	return "", Usage(fmt.Sprintf("unknown shell %q; known: bash zsh fish", shell))
}

// words lists the flags of v as typed, once each.
func flagWords(v Verb) []string {
	var ws []string
	for _, d := range Flags(v) {
		if !d.Later {
			ws = append(ws, "--"+d.Name)
		}
	}
	slices.Sort(ws)
	return slices.Compact(ws)
}

// choices maps flags to the words they are chosen from, over all verbs.
func choices(verbs []Verb) (names []string, of map[string][]string) {
	of = map[string][]string{}
	for _, v := range verbs {
		for _, d := range Flags(v) {
			if cs := d.Choices(); cs != nil && of[d.Name] == nil {
				of[d.Name] = cs
				names = append(names, d.Name)
			}
		}
	}
	slices.Sort(names)
	return names, of
}

func bash(verbs []Verb) string {
	var b strings.Builder
	b.WriteString("# bash completion for ebofs\n_ebofs() {\n")
	b.WriteString("    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]} words\n")
	b.WriteString("    case ${COMP_WORDS[0]##*/} in\n        mkfs.ebofs) verb=mkfs ;;\n        fsck.ebofs) verb=fsck ;;\n")
	var names []string
	for _, v := range verbs {
		names = append(names, v.Name)
	}
	fmt.Fprintf(&b, "        *) if [ \"$COMP_CWORD\" = 1 ]; then COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return; fi ;;\n    esac\n", strings.Join(names, " "))
	b.WriteString("    case $prev in\n")
	flags, of := choices(verbs)
	for _, f := range flags {
		fmt.Fprintf(&b, "        --%s) COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;;\n", f, strings.Join(of[f], " "))
	}
	b.WriteString("    esac\n    case $verb in\n")
	for _, v := range verbs {
		fmt.Fprintf(&b, "        %s) words='%s' ;;\n", v.Name, strings.Join(append(actionNames(&v), flagWords(v)...), " "))
	}
	b.WriteString("    esac\n    case $cur in\n        -*) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n")
	b.WriteString("        *) COMPREPLY=($(compgen -W \"${words//--*/}\" -- \"$cur\") $(compgen -f -- \"$cur\")) ;;\n    esac\n}\n")
	b.WriteString("complete -o filenames -F _ebofs ebofs mkfs.ebofs fsck.ebofs\n")
	return b.String()
}

func zsh(verbs []Verb) string {
	var b strings.Builder
	b.WriteString("#compdef ebofs mkfs.ebofs fsck.ebofs\n_ebofs() {\n    local verb=$words[2]\n    local -a verbs flags actions\n    verbs=(\n")
	for _, v := range verbs {
		fmt.Fprintf(&b, "        %s\n", zshQuote(v.Name+":"+v.Short))
	}
	b.WriteString("    )\n    case ${words[1]:t} in\n        mkfs.ebofs) verb=mkfs ;;\n        fsck.ebofs) verb=fsck ;;\n        *) if (( CURRENT == 2 )); then _describe verb verbs; return; fi ;;\n    esac\n")
	b.WriteString("    case $words[CURRENT-1] in\n")
	names, of := choices(verbs)
	for _, f := range names {
		fmt.Fprintf(&b, "        --%s) compadd %s; return ;;\n", f, strings.Join(of[f], " "))
	}
	b.WriteString("    esac\n    case $verb in\n")
	for _, v := range verbs {
		fmt.Fprintf(&b, "        %s)\n            actions=(%s)\n            flags=(\n", v.Name, strings.Join(actionNames(&v), " "))
		seen := map[string]bool{}
		for _, d := range Flags(v) {
			if !d.Later && !seen[d.Name] {
				seen[d.Name] = true
				fmt.Fprintf(&b, "                %s\n", zshQuote("--"+d.Name+":"+d.Usage))
			}
		}
		b.WriteString("            ) ;;\n")
	}
	b.WriteString("    esac\n    if [[ $words[CURRENT] == -* ]]; then _describe option flags; else compadd -a actions; _files; fi\n}\n_ebofs \"$@\"\n")
	return b.String()
}

func zshQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func fish(verbs []Verb) string {
	var b strings.Builder
	b.WriteString("# fish completion for ebofs\n")
	for _, v := range verbs {
		fmt.Fprintf(&b, "complete -c ebofs -n __fish_use_subcommand -f -a %s -d %s\n", v.Name, fishQuote(v.Short))
	}
	for _, v := range verbs {
		targets := []string{fmt.Sprintf("-c ebofs -n '__fish_seen_subcommand_from %s'", v.Name)}
		if v.Link != "" {
			targets = append(targets, "-c "+v.Link)
		}
		for _, target := range targets {
			for _, a := range actionNames(&v) {
				fmt.Fprintf(&b, "complete %s -a %s\n", target, a)
			}
			seen := map[string]bool{}
			for _, d := range Flags(v) {
				if d.Later || seen[d.Name] {
					continue
				}
				seen[d.Name] = true
				fmt.Fprintf(&b, "complete %s -l %s", target, d.Name)
				if d.Shorthand != "" {
					fmt.Fprintf(&b, " -s %s", d.Shorthand)
				}
				if cs := d.Choices(); cs != nil {
					fmt.Fprintf(&b, " -x -a '%s'", strings.Join(cs, " "))
				} else if d.Value != "" {
					b.WriteString(" -r")
				}
				fmt.Fprintf(&b, " -d %s\n", fishQuote(d.Usage))
			}
		}
	}
	return b.String()
}

func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
