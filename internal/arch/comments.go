package arch

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
)

// undocumented returns what breaks I5 in a package.
func (t *tree) undocumented(name string, files []*source) (found []string) {
	var doc *source
	for _, f := range files {
		if path.Base(f.name) == "doc.go" {
			doc = f
		}
		if f.test || f.ast.Name.Name == "main" {
			continue
		}
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && exportedReceiver(d) && d.Doc == nil && !wellKnown(d) {
					found = append(found, t.at(d.Pos(), "func %s has no comment", d.Name.Name))
				}
			case *ast.GenDecl:
				found = append(found, t.undocumentedSpecs(d)...)
			}
		}
	}
	switch {
	case doc == nil:
		found = append(found, name+": no doc.go")
	case doc.ast.Doc == nil || strings.TrimSpace(doc.ast.Doc.Text()) == "":
		found = append(found, t.at(doc.ast.Package, "no comment directly on the package clause"))
	}
	return found
}

// undocumentedSpecs returns the exported constants, variables and types of d
// without a comment of their own, behind them, or over their group.
func (t *tree) undocumentedSpecs(d *ast.GenDecl) (found []string) {
	if d.Tok == token.IMPORT {
		return nil
	}
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && s.Doc == nil && s.Comment == nil && (d.Doc == nil || d.Lparen.IsValid()) {
				found = append(found, t.at(s.Pos(), "type %s has no comment", s.Name.Name))
			}
		case *ast.ValueSpec:
			for _, n := range s.Names {
				if n.IsExported() && s.Doc == nil && s.Comment == nil && d.Doc == nil {
					found = append(found, t.at(n.Pos(), "%s %s has no comment", d.Tok, n.Name))
				}
			}
		}
	}
	return found
}

// exportedReceiver reports whether d is a function, or a method of an exported
// type: only those show outside.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	e := d.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}

// wellKnown reports whether d is a method everyone knows by its name: those say
// nothing new in a comment.
func wellKnown(d *ast.FuncDecl) bool {
	return d.Recv != nil && slices.Contains([]string{"Error", "String", "Unwrap", "Is"}, d.Name.Name)
}
